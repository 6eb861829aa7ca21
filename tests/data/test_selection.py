"""Which prompts are left out before a run, and how that is said."""

from dataclasses import replace
from typing import Any

import pytest
from omegaconf import OmegaConf

from p2o.cli.preparation import prepare
from p2o.data.selection import each_once, unusable_golds, with_usable_golds, within_budget
from p2o.data.sources import DigitLists, Split
from p2o.errors import UserError
from p2o.learning.evaluation import EvaluationLoader
from p2o.prompt import Prompt
from p2o.rollout.engine import SamplingParameters
from p2o.rollout.rendering import ChatRenderer
from p2o.verifiers import ExactMatch, Score, Status


class EvenGolds(ExactMatch):
    """Can use even gold answers alone."""

    def check_gold(self, prompts):
        return [f"{p.gold} is odd" if int(p.gold) % 2 else None for p in prompts]


def numbered(*numbers: int) -> list[Prompt]:
    return [
        Prompt.create([{"role": "user", "content": f"{n}?"}], str(n), row=10 + n) for n in numbers
    ]


def usable(split, verifier, most):
    return with_usable_golds(split, unusable_golds([*split.train, *split.held_out], verifier), most)


def test_prompts_that_are_there_again_count_once_and_held_out_ones_are_not_trained_on(caplog):
    first, again = numbered(1), replace(numbered(1)[0], meta={"row": 99})
    split = Split([*numbered(5, 4, 5, 2, 1), again], [*first, *numbered(2), again])
    kept = each_once(split)
    assert kept == Split(numbered(5, 4), numbered(1, 2))
    [said] = caplog.messages
    assert said.startswith("5 prompts are there more than once, or held out and in training as")
    caplog.clear()
    assert each_once(kept) == kept
    assert not caplog.messages


class Careless:
    """A source that looks for nothing."""

    def load(self, seed):
        return Split(numbered(1, 2, 2, 3), numbered(3, 4, 4))


def test_a_run_does_not_count_twice_what_a_source_has_twice(renderer, caplog):
    data = {"max_unusable_golds": 0.0, "max_prompt_tokens": 96, "overlong": "refuse"}
    source = {"_target_": f"{__name__}.Careless"}
    config = OmegaConf.create({"seed": 0, "data": {**data, "source": source}})
    assert prepare(config, renderer, NoLook()) == Split(numbered(1, 2), numbered(3, 4))
    assert "3 prompts are there more than once" in caplog.text


def test_prompts_whose_gold_cannot_be_used_are_dropped_and_named(caplog):
    split = Split(numbered(*range(0, 40, 2), 41), numbered(42, 43, 44))
    kept = usable(split, EvenGolds(), 0.1)
    assert [p.gold for p in kept.train] == [str(n) for n in range(0, 40, 2)]
    assert [p.gold for p in kept.held_out] == ["42", "44"]
    [said] = caplog.messages
    assert said.splitlines() == [
        "gold answers that the verifier cannot use: 2 of 24 (8.33%)",
        "  row 51: 41 is odd",
        "  row 53: 43 is odd",
    ]


def test_too_many_unusable_golds_stop_the_run_and_ten_are_named():
    split = Split(numbered(*range(30)), numbered(30))
    with pytest.raises(UserError) as caught:
        usable(split, EvenGolds(), 0.05)
    first, *named, way_out = str(caught.value).splitlines()
    assert first.endswith(": 15 of 31 (48.39%)")
    assert named == [f"  row {10 + n}: {n} is odd" for n in range(1, 21, 2)]
    assert way_out == "mend them or raise max_unusable_golds=0.05"


def test_a_prompt_without_a_row_is_named_by_its_id():
    odd = Prompt.create([{"role": "user", "content": "?"}], "1")
    with pytest.raises(UserError, match=f"prompt {odd.id}: 1 is odd"):
        usable(Split([odd], numbered(2)), EvenGolds(), 0)


class NoLook:
    """A verifier that has only what it must have."""

    def score(self, responses, prompts):
        return [Score(0.0, Status.OK) for _ in responses]


def test_a_verifier_that_checks_no_golds_leaves_all():
    split = Split(numbered(1), numbered(3))
    assert usable(split, NoLook(), 0) == split


@pytest.fixture
def renderer(tokenizer):
    return ChatRenderer(tokenizer)


def test_prompts_over_the_budget_are_dropped_and_none_is_cut(renderer, caplog):
    split = DigitLists(60, 30).load(0)
    lengths = {p.id: len(renderer.render(p.messages)) for p in split.train + split.held_out}
    kept = within_budget(split, renderer, 13, "drop")
    assert kept.train == [p for p in split.train if lengths[p.id] <= 13]
    assert kept.held_out == [p for p in split.held_out if lengths[p.id] <= 13]
    assert 0 < len(kept.train) < 60
    dropped = 60 - len(kept.train)
    assert f"{dropped} of 60 train prompts are over max_prompt_tokens=13" in caplog.text


def test_prompts_over_the_budget_are_refused_by_choice(renderer):
    split = DigitLists(60, 30).load(0)
    longest = max(len(renderer.render(p.messages)) for p in split.train)
    with pytest.raises(UserError, match=f"by {longest - 13} tokens; raise it, or leave them out"):
        within_budget(split, renderer, 13, "refuse")
    assert within_budget(split, renderer, longest, "refuse").train == split.train


def test_a_budget_that_leaves_no_prompt_is_refused(renderer):
    with pytest.raises(UserError, match="no train prompts are left"):
        within_budget(DigitLists(6, 3).load(0), renderer, 2, "drop")


@pytest.mark.parametrize(("samples", "temperature"), [(1, 0.0), (4, 0.6), (1, 0.6)])
def test_held_out_samples_are_taken_where_they_can_tell_something(samples, temperature):
    assert len(evaluation(samples, temperature)) == 1


def test_several_held_out_samples_that_would_all_be_the_same_are_refused():
    with pytest.raises(UserError, match="^samples=4: at temperature 0 all are the"):
        evaluation(4, 0.0)


def evaluation(samples, temperature):
    anything: Any = None
    sampling = SamplingParameters(temperature)
    return EvaluationLoader(
        numbered(1), anything, sampling, samples, anything, anything, anything, 0
    )


def test_a_row_whose_turns_the_chat_template_refuses_is_named(tokenizer, monkeypatch):
    alternate = "{% if messages[1] %}{{ raise_exception('one turn, please') }}{% endif %}<user>"
    alternate += "{{ messages[0].content }}"
    monkeypatch.setattr(tokenizer, "chat_template", alternate)
    user = {"role": "user", "content": "1?"}
    twice = Prompt.create([user, user], "2", row=7)
    with pytest.raises(UserError, match="^row 7: .* user, user .one turn, please.; "):
        within_budget(Split(numbered(1), [twice]), ChatRenderer(tokenizer), 99, "drop")
