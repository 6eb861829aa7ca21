"""A verifier for each source of prompts."""

from typing import Any

import pytest

from p2o.errors import EngineError, UserError
from p2o.prompt import Prompt
from p2o.verifiers import ExactMatch, GuardedVerifier, Numeric, Score, Status
from p2o.verifiers.by_source import BySource


class Counting:
    """Gives its number of calls, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []

    def score(self, responses, prompts):
        self.asked.append([f"{r}/{p.gold}" for r, p in zip(responses, prompts, strict=True)])
        return [Score(len(self.asked), Status.OK) for _ in responses]


def prompts(*names: str) -> list[Prompt]:
    return [Prompt((), str(n), str(n), source=name) for n, name in enumerate(names)]


def test_each_verifier_gets_its_own_in_one_call_and_scores_come_back_in_order():
    one, two, idle = Counting(), Counting(), Counting()
    asked = prompts("two", "one", "two", "one", "one")
    verifier = BySource({"one": one, "idle": idle, "two": two})
    verifier.score(["x"], prompts("two"))
    scores = verifier.score(list("abcde"), asked)
    assert [score.reward for score in scores] == [2, 1, 2, 1, 1]
    assert one.asked == [["b/1", "d/3", "e/4"]]
    assert two.asked == [["x/0"], ["a/0", "c/2"]]
    assert idle.asked == []
    assert verifier.score([], []) == []


def test_the_same_answer_is_right_for_one_source_and_not_for_the_other():
    verifier = GuardedVerifier(BySource({"number": Numeric(), "text": ExactMatch()}))
    asked = [Prompt((), "7", name, source=name) for name in ("number", "text")]
    scores = verifier.score(["Answer: 7.0"] * 2, asked)
    assert [score.solved for score in scores] == [True, False]


def test_what_cannot_work_ends_the_run_in_one_line_that_names_the_key():
    with pytest.raises(UserError, match="^verifiers: give one for each source"):
        BySource({"one": None})
    wrong: Any = {"one": 3}
    with pytest.raises(UserError, match=r"^verifiers.one: it scores nothing"):
        BySource(wrong)
    guarded = GuardedVerifier(BySource({"one": Numeric(), "two": Numeric()}))
    with pytest.raises(UserError, match=r"^verifier.verifiers: none for source six; there are one"):
        guarded.score(["7"], prompts("six"))

    class Short:
        def score(self, responses, prompts):
            return []

    guarded = GuardedVerifier(BySource({"one": Short()}))
    with pytest.raises(UserError, match=r"^verifier.verifiers.one: Short gave 0 scores for 1"):
        guarded.score(["7"], prompts("one"))


def test_one_that_throws_costs_its_responses_alone_unless_it_cannot_work():
    class Raising:
        kind: type[Exception] = KeyError

        def score(self, responses, prompts):
            raise self.kind("gone")

    raising = Raising()
    guarded = GuardedVerifier(BySource({"one": ExactMatch(), "two": raising}))
    statuses = [s.status for s in guarded.score(["Answer: 0"] * 2, prompts("one", "two"))]
    assert statuses == [Status.OK, Status.ERROR]
    raising.kind = EngineError
    with pytest.raises(EngineError, match="gone"):
        guarded.score(["Answer: 0"] * 2, prompts("one", "two"))
