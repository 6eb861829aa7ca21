import pytest

from p2o.data.prompt import Prompt
from p2o.errors import UserError
from p2o.verifiers import ExactMatch, Status

GOLD = Prompt.create([{"role": "user", "content": "?"}], "New  York")


@pytest.mark.parametrize(
    ("pattern", "response", "reward", "status"),
    [
        (None, " new york\n", 1.0, Status.OK),
        (None, "York", 0.0, Status.OK),
        (None, "  ", 0.0, Status.NO_ANSWER),
        (r"Answer:\s*(.+)", "Answer: Rome\nAnswer: New York", 1.0, Status.OK),
        (r"Answer:\s*(.+)", "New York", 0.0, Status.NO_ANSWER),
    ],
)
def test_scores(pattern, response, reward, status):
    [score] = ExactMatch(pattern).score([response], [GOLD])
    assert (score.reward, score.status) == (reward, status)


def test_a_bad_pattern_is_refused():
    with pytest.raises(UserError, match="^pattern="):
        ExactMatch("[")


def test_any_of_several_golds_is_enough_and_an_empty_one_is_named():
    prompt = Prompt.create([{"role": "user", "content": "?"}], "car", ["automobile"])
    [score] = ExactMatch().score(["Automobile"], [prompt])
    assert score.reward == 1.0
    empty = Prompt.create([{"role": "user", "content": "?"}], " ")
    assert ExactMatch().check_gold([prompt, empty]) == [None, "the gold answer is empty"]
