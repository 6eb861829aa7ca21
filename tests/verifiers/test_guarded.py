import logging
from typing import Any

import numpy as np
import pytest

from p2o.errors import EngineError, UserError
from p2o.prompt import Prompt
from p2o.verifiers import GuardedVerifier, Score, Status

PROMPTS = [Prompt.create([{"role": "user", "content": str(n)}], str(n)) for n in range(30)]
GOLDS = [prompt.gold for prompt in PROMPTS]


class Scripted:
    """Raises on responses that say so, gives what is not finite on others."""

    def score(self, responses, prompts):
        if "raise" in responses:
            raise KeyError("no such thing")
        values = {"nan": float("nan")}
        return [Score(values.get(text, 1.0), Status.OK, text) for text in responses]


def test_one_answer_that_breaks_the_verifier_costs_itself_only(caplog):
    guarded = GuardedVerifier(Scripted())
    with caplog.at_level(logging.WARNING):
        scores = guarded.score(["1", "raise", "nan"], PROMPTS[:3])
    assert [score.reward for score in scores] == [1.0, 0.0, 0.0]
    assert [score.status for score in scores] == [Status.OK, Status.ERROR, Status.ERROR]
    assert "KeyError" in scores[1].detail
    assert PROMPTS[1].id in caplog.text
    assert guarded.counts == {Status.OK: 1, Status.ERROR: 2}


def test_many_failures_stop_the_run_and_show_examples():
    with pytest.raises(UserError) as stopped:
        GuardedVerifier(Scripted()).score(["raise"] * 30, PROMPTS)
    lines = str(stopped.value).splitlines()
    assert "Scripted failed or timed out on 100.0%" in lines[0]
    assert "more than max_error_share=0.02" in lines[0]
    assert len(lines) == 11


@pytest.mark.parametrize(
    "responses",
    [
        [*["raise"] * 3000, *["1"] * 500],
        [*["1"] * 600, *["raise"] * 20, *["1"] * 500],
        [*["raise"] * 20, *["1"] * 3000],
    ],
    ids=["most", "in the middle", "at the start"],
)
def test_failures_before_the_last_scores_of_a_call_stop_the_run_too(responses):
    class Fails:
        def score(self, responses, prompts):
            failed = Score(0.0, Status.ERROR, detail="no such thing")
            return [failed if text == "raise" else Score(1.0, Status.OK) for text in responses]

    with pytest.raises(UserError, match=r"on (4\.0|100\.0)% of the last 500 responses"):
        GuardedVerifier(Fails()).score(responses, PROMPTS[:1] * len(responses))


def test_a_window_in_which_nothing_could_stop_a_run_is_refused():
    with pytest.raises(UserError, match="^window=19: give at least 20"):
        GuardedVerifier(Scripted(), window=19)


def test_failures_within_the_share_allowed_stop_nothing():
    guarded = GuardedVerifier(Scripted(), max_error_share=0.5, window=60)
    for _ in range(10):
        guarded.score([*["1"] * 16, *["raise"] * 14], PROMPTS)
    assert guarded.counts[Status.ERROR] == 140


def test_a_verifier_with_the_wrong_number_of_scores_is_named():
    class Short:
        def score(self, responses, prompts):
            return []

    with pytest.raises(UserError, match="Short gave 0 scores for 2 responses"):
        GuardedVerifier(Short()).score(["1", "2"], PROMPTS[:2])


@pytest.mark.parametrize("kind", [UserError, EngineError])
def test_what_ends_a_run_passes_and_nothing_is_asked_again(kind):
    class Refusing:
        asked = 0

        def score(self, responses, prompts):
            self.asked += 1
            raise kind("gold answer of row 3")

    refusing = Refusing()
    with pytest.raises(kind, match="row 3"):
        GuardedVerifier(refusing).score(["1", "2"], PROMPTS[:2])
    assert refusing.asked == 1


class Partial:
    """Gives what the response says as its reward."""

    def score(self, responses, prompts):
        return [Score(float(text), Status.OK) for text in responses]


@pytest.mark.parametrize(
    ("threshold", "solved"), [(1.0, [False, False, True]), (0.9, [False, True, True])]
)
def test_one_threshold_says_what_is_solved(threshold, solved):
    guarded = GuardedVerifier(Partial(), solved_reward=threshold)
    scores = guarded.score(["0.3", "0.95", "1.0"], PROMPTS[:3])
    assert [score.solved for score in scores] == solved


def test_partial_rewards_that_add_up_to_one_are_solved_though_their_sum_is_rounded():
    total = 0.6 + 0.3 + 0.1
    assert total < 1
    assert Score(total, Status.OK).solved
    assert GuardedVerifier(Partial()).score([repr(total)], PROMPTS[:1])[0].solved


def test_what_a_verifier_says_is_solved_counts_and_not_its_reward():
    class Says:
        def score(self, responses, prompts):
            rewards = {"half": (0.3, True), "high": (1.0, False)}
            return [Score(*rewards[r][:1], Status.OK, solved=rewards[r][1]) for r in responses]

    half, high = GuardedVerifier(Says(), solved_reward=0.9).score(["half", "high"], PROMPTS[:2])
    assert (half.solved, high.solved) == (True, False)
    assert (half.reward, high.reward) == (0.3, 1.0)


@pytest.mark.parametrize("status", list(Status))
def test_a_verifier_that_failed_says_neither_solved_nor_not(status):
    score = Score(0.0, status)
    assert score.solved is (None if status in (Status.TIMEOUT, Status.ERROR) else False)
    assert score.failed == (score.solved is None)


def test_a_failure_that_the_guard_makes_is_no_verdict():
    raised, infinite, right = GuardedVerifier(Scripted()).score(["raise", "nan", "1"], PROMPTS[:3])
    assert [raised.solved, infinite.solved, right.solved] == [None, None, True]


def test_a_reward_is_a_float_whatever_number_a_verifier_gives():
    class Counts:
        def score(self, responses, prompts):
            given: dict[str, Any] = {"yes": True, "no": False, "two": 2, "half": np.float32(0.5)}
            return [Score(given[text], Status.OK, text) for text in responses]

    scores = GuardedVerifier(Counts()).score(["yes", "no", "two", "half"], PROMPTS[:4])
    assert [score.reward for score in scores] == [1.0, 0.0, 2.0, 0.5]
    assert all(type(score.reward) is float for score in scores)
    assert [score.solved for score in scores] == [True, False, True, False]
