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
    with pytest.raises(UserError, match="verifier.pattern"):
        ExactMatch("[")
