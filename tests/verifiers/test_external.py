import asyncio
from pathlib import Path

import pytest

from p2o.data.prompt import Prompt
from p2o.errors import UserError
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
    "path",
    ["no_such_module:f", "reward_functions:f", "reward_functions", "reward_functions:number"],
)
def test_what_is_not_there_or_no_function_is_refused(path):
    with pytest.raises(UserError, match=f"^function={path}"):
        External(path)
