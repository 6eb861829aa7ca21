"""Advice where a verifier finds nothing in nearly all responses of an epoch."""

import re
from types import SimpleNamespace
from typing import Any

import pytest

from p2o.learning.unread import UnreadResponses
from p2o.prompt import Context, Prompt
from p2o.rollout.engine import Completion
from p2o.rollout.runner import Rollout
from p2o.verifiers import BoxedMath, ExactMatch, GuardedVerifier, Numeric
from p2o.verifiers.base import Score, Status
from p2o.verifiers.function import Function

PROMPT = Prompt.create([{"role": "user", "content": "2 + 3?"}], "5")
RIGHT = Score(1.0, Status.OK, "5")
WRONG = Score(0.0, Status.OK, "6")
NOTHING = Score(0.0, Status.NO_ANSWER)


def rollout(score, text="It is five.", cut=False):
    completion = Completion((1, 2), "length" if cut else "stop", (0.0, 0.0))
    return Rollout(PROMPT, "", (1,), (1,), Context.BARE, completion, text, score)


def advice(rollouts, verifier=None, suffix="", keys=None):
    unread = UnreadResponses(keys)
    unread.see([rollouts[:3], rollouts[3:]])
    return unread.advice(runner(verifier or Numeric(), suffix), 24)


def runner(verifier, suffix) -> Any:
    """All of a runner that matters here."""
    renderer = SimpleNamespace(suffix=suffix)
    return SimpleNamespace(verifier=GuardedVerifier(verifier), renderer=renderer)


def test_nearly_all_without_an_answer_is_told_with_an_example_and_what_was_looked_for():
    said = advice([rollout(NOTHING)] * 19 + [rollout(RIGHT, "Answer: 5")])
    assert said is not None
    assert "of this epoch's 20 responses 95% had no answer" in said
    assert r"It looks for Answer\**\s*[:：]\s*(.+) (Numeric)" in said
    assert "One of them ends 'It is five.'" in said
    assert "say in the renderer's suffix what it looks for" in said
    assert "max_new_tokens" not in said
    assert "\n" not in said


def test_when_most_are_cut_off_more_tokens_are_advised():
    rollouts = [rollout(NOTHING, "First we\nadd " * 40, cut=True)] * 20
    said = advice(rollouts, suffix="End with 'Answer:'.")
    assert said is not None
    assert "100% were cut off" in said
    assert "raise the training's max_new_tokens=24" in said
    assert "let a search find hints" not in said
    assert re.search(r"One of them ends '\.\.\..{120}'\.", said)
    assert "\n" not in said


@pytest.mark.parametrize("score", [NOTHING, WRONG], ids=["no answer", "any text is one"])
def test_where_nothing_asks_for_an_answer_its_length_is_not_the_first_to_blame(score):
    said = advice([rollout(score, "First we\nadd " * 40, cut=True)] * 20)
    assert said is not None
    assert "Nothing in the prompt asks for that" in said
    assert (
        "What helps: say in the renderer's suffix what it looks for, or let a search find hints "
        "that say it, or where the problems ask for it themselves, raise the training's "
        "max_new_tokens=24"
    ) in said


def test_where_it_is_told_their_keys_it_names_what_to_set_by_them_alone():
    quoted = "max_new_tokens=1 in the renderer's suffix"
    keys = {"suffix": "renderer.suffix", "max_new_tokens": "sampling.train.max_new_tokens"}
    said = advice([rollout(NOTHING, quoted, cut=True)] * 20, suffix="Say it.", keys=keys)
    assert said is not None
    assert f"One of them ends {quoted!r}. " in said
    assert said.endswith(
        "What helps: say in renderer.suffix what it looks for, or raise "
        "sampling.train.max_new_tokens=24, or choose another verifier"
    )


def test_a_function_that_calls_every_response_an_answer_is_no_reason_to_be_silent():
    said = advice([rollout(WRONG, cut=True)] * 20, suffix="Say the number.")
    assert said is not None
    assert "What helps: raise the training's max_new_tokens=24" in said
    assert "suffix" not in said


def test_a_whole_response_is_shown_rather_than_one_that_was_cut_off():
    cut = [rollout(NOTHING, "a part", cut=True)] * 5
    said = advice([*cut, rollout(NOTHING, "a whole"), *cut])
    assert said is not None
    assert "'a whole'" in said


@pytest.mark.parametrize("verifier", [BoxedMath(), ExactMatch(None)])
def test_a_verifier_without_a_pattern_says_what_it_does(verifier):
    said = advice([rollout(NOTHING)] * 20, verifier)
    assert said is not None
    assert f"It looks for what {type(verifier).__name__} says: " in said


def test_a_function_of_the_users_is_named_with_what_it_says_and_what_the_policy_was_told(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(
        'def last_word(completion, answer):\n    """The last word."""\n    return None\n'
    )
    said = advice([rollout(NOTHING)] * 20, Function(f"{file}:last_word"), "\n\nThe word alone.")
    assert said is not None
    assert "It looks for what last_word says: The last word. The prompt ends with 'The word" in said
    assert "Nothing in the prompt asks for that. " in str(advice([rollout(NOTHING)] * 20))


@pytest.mark.parametrize("score", [RIGHT, WRONG])
def test_an_epoch_with_answers_gets_no_advice(score):
    assert advice([rollout(NOTHING)] * 17 + [rollout(score)] * 3) is None


def test_each_epoch_is_judged_by_itself():
    unread = UnreadResponses()
    assert unread.advice(runner(Numeric(), ""), 24) is None
    unread.see([[rollout(NOTHING)] * 4])
    assert unread.advice(runner(Numeric(), ""), 24) is not None
    unread.see([[rollout(RIGHT)] * 4])
    assert unread.advice(runner(Numeric(), ""), 24) is None
