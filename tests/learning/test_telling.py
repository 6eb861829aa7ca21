"""Responses that are graded by what the policy is told, from groups to samples."""

import math
from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from p2o.accounting.ledger import Ledger
from p2o.distillation import ReverseKL, Reweighted, Told
from p2o.learning.baseline import GroupMean
from p2o.learning.credit import CreditAssignment
from p2o.learning.experience import Experience, ExperienceBuilder
from p2o.learning.loader import RolloutLoader
from p2o.learning.samples import Scorer
from p2o.learning.sizes import BatchSizes
from p2o.learning.telling import Telling
from p2o.learning.telltale import Telltale
from p2o.objectives import KLPenalty, Overlong, group_advantages
from p2o.policy.causal import CausalPolicy
from p2o.policy.models import load_policy
from p2o.policy.packing import ALWAYS, Packer
from p2o.prompt import Context, Prompt
from p2o.rollout.engine import Completion, SamplingParameters
from p2o.rollout.rendering import ChatRenderer
from p2o.rollout.runner import Rollout
from p2o.sample import Sample
from p2o.verifiers.base import Score, Status
from tests.unpack import seen

PROMPT = Prompt.create([{"role": "user", "content": "Add the digits: 3 4 5 1"}], "13")
TOLD = Told("{solution} {question}")


@pytest.fixture(scope="module")
def world() -> tuple[Any, ChatRenderer]:
    model, tokenizer = load_policy("embedded:digits")
    return model, ChatRenderer(tokenizer)


def group(renderer: ChatRenderer, *solved: bool, hint: str = "") -> list[Rollout]:
    """Responses that differ, after the bare prompt."""
    bare = tuple(renderer.render(PROMPT.messages))
    rollouts = []
    for index, right in enumerate(solved):
        text = f"Let us go slowly. {index} Answer: {index}"
        ids = tuple(renderer.tokenizer(text, add_special_tokens=False)["input_ids"])
        completion = Completion(ids, "stop", (-1.0,) * len(ids))
        score = Score(float(right), Status.OK)
        rollouts.append(Rollout(PROMPT, hint, bare, bare, Context.BARE, completion, text, score))
    return rollouts


def told_to(renderer: ChatRenderer, solution: str) -> tuple[int, ...]:
    content = f"{solution} {PROMPT.question}"
    return tuple(renderer.render([{"role": "user", "content": content}]))


def test_failures_are_told_of_the_first_success_and_that_one_of_the_second(world):
    _, renderer = world
    rollouts = group(renderer, False, True, False, True)
    [told] = Telling(TOLD, renderer, None)([rollouts])
    first, second = (told_to(renderer, rollouts[index].response) for index in (1, 3))
    assert [each.ids(Context.TEMPLATED) for each in told] == [first, second, first, first]
    assert [each.ids(Context.BARE) for each in told] == [rollouts[0].bare_ids] * 4
    assert not any(each.templated for each in told)


def test_nothing_is_told_in_place_of_a_hint_or_where_none_is_right(world):
    _, renderer = world
    for rollouts in (group(renderer, True, False, hint="Slowly."), group(renderer, False, False)):
        assert Telling(TOLD, renderer, None)([rollouts]) == [rollouts]


@pytest.mark.parametrize(("longest", "most"), [(5, None), (100, 20)])
def test_what_does_not_fit_is_left_out_and_said_once(world, caplog, longest, most):
    _, renderer = world
    rollouts = group(renderer, True, False, False)
    told = Telling(replace(TOLD, longest=longest), renderer, most)([rollouts])
    assert told == [rollouts]
    assert len(caplog.records) == 1
    assert f"longest={longest}" in caplog.text


def experience(
    world: tuple[Any, ChatRenderer], groups: Sequence[Sequence[Rollout]]
) -> tuple[Experience, CausalPolicy, ExperienceBuilder]:
    model, renderer = world
    policy = CausalPolicy(model, 1.0)

    @torch.no_grad()
    def score(passes):
        return [policy(packed)[0] for packed in passes]

    builder = ExperienceBuilder(
        BatchSizes(len(groups[0]), len(groups), len(groups)),
        CreditAssignment(group_advantages, GroupMean(), Overlong(30), False),
        ReverseKL(limit=50.0, told=TOLD),
        lambda: Packer(ALWAYS),
        score,
        None,
        KLPenalty(),
        False,
        Ledger(),
        tell=Telling(TOLD, renderer, None),
    )
    return builder.build(groups), policy, builder


def test_a_token_is_worth_what_the_told_policy_adds_to_its_log_probability(world):
    _, renderer = world
    rollouts = group(renderer, False, True, False)
    made, policy, _ = experience(world, [rollouts])
    [batch] = made.micro_batches
    assert batch is not None
    context, wanted = told_to(renderer, rollouts[1].response), []
    for rollout in (rollouts[0], rollouts[2]):
        samples = [
            Sample.of(ids, rollout.completion.token_ids) for ids in (rollout.bare_ids, context)
        ]
        with torch.no_grad():
            bare, told = (policy(Packer().pack([sample])[0][0])[0] for sample in samples)
        wanted.append(told - bare)
    # The lone success has none beside it to be told of: it is not trained on.
    assert int(batch.sequences.max()) == 1
    torch.testing.assert_close(batch.streams["advantages"], torch.cat(wanted), atol=1e-4, rtol=1e-4)
    assert batch.total_sequences == 3
    assert made.told == pytest.approx(2 / 3)


def test_a_teacher_of_its_own_scores_what_is_told_and_nothing_else(world):
    _, renderer = world
    bare = tuple(renderer.render(PROMPT.messages))
    rollouts = group(renderer, False, True, False)
    asked: dict[str, set[tuple[int, ...]]] = {"policy": set(), "teacher": set()}

    def scorer(name, value):
        def score(passes):
            for packed in passes:
                asked[name] |= {ids[: len(bare)] for ids in seen(packed)}
            return [torch.full((len(packed.targets),), value) for packed in passes]

        return score

    builder = ExperienceBuilder(
        BatchSizes(3, 1, 1),
        CreditAssignment(group_advantages, GroupMean(), Overlong(30), False),
        ReverseKL(told=TOLD),
        lambda: Packer(ALWAYS),
        scorer("policy", -2.0),
        None,
        KLPenalty(),
        False,
        Ledger(),
        tell=Telling(TOLD, renderer, None),
        score_teacher=scorer("teacher", -1.5),
    )
    [batch] = builder.build([rollouts]).micro_batches
    assert batch is not None
    assert batch.streams["advantages"].unique().tolist() == [0.5]
    told = told_to(renderer, rollouts[1].response)[: len(bare)]
    assert asked == {"policy": {bare}, "teacher": {told}}


def test_a_strategy_knows_how_many_updates_the_policy_has_behind_it(world):
    """And a success that has nothing told of it has the advantage of its reward."""
    _, renderer = world
    bare = tuple(renderer.render(PROMPT.messages))

    def score(passes):
        return [
            torch.tensor([-2.0 if ids[: len(bare)] == bare else -1.5 for ids in seen(packed)])
            for packed in passes
        ]

    builder = ExperienceBuilder(
        BatchSizes(2, 1, 1),
        CreditAssignment(group_advantages, GroupMean(), Overlong(30), False),
        Reweighted(epsilon=1.0, share=0.5, decay_updates=50, told=TOLD),
        lambda: Packer(ALWAYS),
        score,
        None,
        KLPenalty(),
        False,
        Ledger(),
        updates=lambda: 25,
        tell=Telling(TOLD, renderer, None),
    )
    [batch] = builder.build([group(renderer, True, False)]).micro_batches
    assert batch is not None
    lone = 0.5**0.5
    found = sorted(batch.streams["advantages"].unique().tolist())
    wanted = [-lone * (0.75 + 0.25 * math.exp(-0.5)), lone]
    assert found == pytest.approx(wanted, rel=1e-5)


def test_a_group_of_which_nothing_is_told_is_no_step_and_none_for_dynamic_sampling(world):
    _, renderer = world
    failed, mixed, solved = (
        group(renderer, *verdicts) for verdicts in ((False, False), (True, False), (True, True))
    )
    made, _, builder = experience(world, [failed])
    assert made.micro_batches == [None]
    assert builder.with_contrast([failed, mixed, solved]) == [mixed, solved]


@pytest.mark.parametrize(("reliance", "warned"), [(-1.0, 1), (0.5, 0)])
def test_a_policy_that_cannot_read_what_it_is_told_is_named_once(
    world, monkeypatch, caplog, reliance, warned
):
    """As right responses become less probable behind a success, or more."""
    _, renderer = world
    bare = tuple(renderer.render(PROMPT.messages))

    def score(passes):
        return [
            torch.tensor([reliance if ids[: len(bare)] != bare else 0.0 for ids in seen(packed)])
            for packed in passes
        ]

    _, _, builder = experience(world, [group(renderer, True, True)])
    monkeypatch.setattr(builder, "_score", Scorer(lambda: Packer(ALWAYS), score, Ledger()))
    runner: Any = SimpleNamespace(
        run=lambda *_: group(renderer, True, True, False),
        engine=SimpleNamespace(release=lambda: None),
    )
    logged: list[Any] = []
    prompts = [PROMPT, replace(PROMPT, id="other")]
    sizes = BatchSizes(3, 1, 1)
    builder.sizes = sizes
    loader = RolloutLoader(
        prompts,
        runner,
        builder,
        sizes,
        SamplingParameters(),
        Ledger(),
        position=lambda: (0, 0),
        refresh_engine=lambda: None,
        log=logged.append,
        seed=0,
    )
    assert len(list(loader)) == 2
    assert [metrics["rollout/told"] for metrics in logged] == [1.0, 1.0]
    assert caplog.text.count("put the text that tells it another way") == warned


@pytest.mark.parametrize(
    ("strategy", "said", "threat"),
    [
        (ReverseKL(told=TOLD), "told of a success, the policy", True),
        (ReverseKL(told=Told("{question} {gold}")), "told the right answer, the policy", True),
        (
            ReverseKL(told=Told("{question} {solution} {gold}")),
            "told the right answer and of a success, the policy",
            True,
        ),
        # The reward says which way a response is pushed, so that nothing is unlearned by it.
        (Reweighted(told=Told("{question} {gold}")), "told the right answer, the policy", False),
    ],
    ids=["success", "answer", "both", "reweighted"],
)
def test_the_warning_says_what_was_told_and_what_may_come_of_it(caplog, strategy, said, threat):
    telltale = Telltale()
    telltale.see_told(1.0, strategy, {"templated/reliance": -0.5})
    [warning] = caplog.messages
    assert warning.startswith(said)
    assert ("unlearn" in warning) == threat
