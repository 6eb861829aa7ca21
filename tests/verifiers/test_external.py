import asyncio
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from p2o.errors import UserError
from p2o.prompt import Prompt
from p2o.verifiers import GuardedVerifier, Score, Status
from p2o.verifiers.external import External

PROMPT = Prompt.create([{"role": "user", "content": "How many?"}], "7")


@pytest.fixture(autouse=True)
def _path(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parent))


def test_a_function_that_gives_numbers():
    scores = External("reward_functions:lengths").score(["1", "12"], [PROMPT] * 2)
    assert scores == [Score(0.1, Status.OK), Score(0.2, Status.OK)]


def test_a_coroutine_function_that_gives_scores_also_beside_a_running_loop():
    external = External("reward_functions:slowly")
    assert external.score(["x"], [PROMPT]) == [Score(1.0, Status.OK, "x")]

    async def notebook():
        return external.score(["x"], [PROMPT])

    assert asyncio.run(notebook())[0].reward == 1.0


def test_what_is_no_score_costs_itself_only():
    scores = External("reward_functions:mixed").score(["x"] * 6, [PROMPT] * 6)
    assert [score.reward for score in scores] == [1.0, 0.0, 0.5, 0.0, 0.0, 0.0]
    failed = [Status.ERROR] * 3
    assert [s.status for s in scores] == [Status.OK, Status.NO_ANSWER, Status.PARSE_ERROR, *failed]
    assert "'much'" in scores[4].detail


def test_a_wrong_number_of_scores_ends_the_run():
    with pytest.raises(UserError, match="gave 6 scores for 2 responses"):
        GuardedVerifier(External("reward_functions:mixed")).score(["x"] * 2, [PROMPT] * 2)


@pytest.mark.parametrize(
    "given", [None, 0.5, "01", {"reward": 1.0}, Score(1.0, Status.OK), [], [1.0] * 3]
)
def test_what_is_no_list_of_scores_ends_the_run_in_one_line(given):
    external = External(lambda responses, prompts: given)
    with pytest.raises(UserError, match=r"verifier.function=<lambda> gave .*one") as stopped:
        GuardedVerifier(external).score(["x"] * 2, [PROMPT] * 2)
    assert "\n" not in str(stopped.value)


@pytest.mark.parametrize(
    "given",
    [
        "0.5",
        "nan",
        float("inf"),
        1e308,
        -1e30,
        [1.0],
        {"reward": "1"},
        {"reward": None},
        {"reward": 1.0, "status": "fine"},
        {"status": "ok"},
        Score(float("nan"), Status.OK),
        object(),
    ],
)
def test_a_reward_that_is_no_number_is_an_error_with_reward_0(given):
    [score, other] = External(lambda responses, prompts: [given, 1]).score(["x"] * 2, [PROMPT] * 2)
    assert (score.reward, score.status) == (0.0, Status.ERROR)
    assert score.detail
    assert other == Score(1.0, Status.OK)


@pytest.mark.parametrize("one", [np.float32(0.5), np.array(0.5), Fraction(1, 2), Decimal("0.5")])
def test_numbers_of_other_kinds_are_numbers(one):
    scores = External(lambda responses, prompts: (one for _ in responses)).score(["x"], [PROMPT])
    assert scores == [Score(0.5, Status.OK)]


@pytest.mark.parametrize(
    "path",
    ["no_such_module:f", "reward_functions:f", "reward_functions", "reward_functions:number"],
)
def test_what_is_not_there_or_no_function_is_refused(path):
    with pytest.raises(UserError, match=f"^function={path}"):
        External(path)


@pytest.mark.parametrize(("threshold", "solved"), [(0.5, True), (0.7, True), (0.8, False)])
def test_the_guard_says_from_which_reward_on_a_number_is_right(threshold, solved):
    given = [0.7, {"reward": 0.7}, Score(0.7, Status.OK)]
    guarded = GuardedVerifier(External(lambda r, p: given), solved_reward=threshold)
    assert [score.solved for score in guarded.score(["a"] * 3, [PROMPT] * 3)] == [solved] * 3


def test_a_dictionary_may_say_what_is_right():
    given = [{"reward": 1.0, "solved": False}, {"reward": 0.2, "solved": True}]
    scores = GuardedVerifier(External(lambda r, p: given)).score(["a"] * 2, [PROMPT] * 2)
    assert [score.solved for score in scores] == [False, True]
    [score] = External(lambda r, p: [{"reward": 1.0, "solved": "no"}]).score(["a"], [PROMPT])
    assert score.status == Status.ERROR
