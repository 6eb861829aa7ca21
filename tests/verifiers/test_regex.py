import pytest
from math_data import prompt_of

from p2o.errors import UserError
from p2o.verifiers import RegexMatch, Status


@pytest.fixture(scope="module")
def verifier():
    verifier = RegexMatch(r"Answer:\s*(.+)", seconds=0.5)
    yield verifier
    verifier.pool.close()


@pytest.mark.parametrize(
    ("response", "gold", "reward", "status"),
    [
        ("Answer: colour", "colou?r", 1.0, Status.OK),
        ("Answer: red\nAnswer: COLOR ", "colou?r", 1.0, Status.OK),
        ("Answer: colours", "colou?r", 0.0, Status.OK),
        ("colour", "colou?r", 0.0, Status.NO_ANSWER),
        ("Answer: colour", "(", 0.0, Status.ERROR),
    ],
)
def test_the_whole_answer_must_match(verifier, response, gold, reward, status):
    [score] = verifier.score([response], [prompt_of(gold)])
    assert (score.reward, score.status) == (reward, status)


def test_an_expression_that_takes_forever_is_stopped(verifier):
    slow, quick = verifier.score(
        ["Answer: " + "a" * 60, "Answer: b"], [prompt_of("(a+)+b"), prompt_of("a", "b")]
    )
    assert slow.status == Status.TIMEOUT
    assert quick.reward == 1.0


def test_gold_that_is_no_expression_is_named(verifier):
    good, bad = verifier.check_gold([prompt_of("a|b"), prompt_of("a", "[")])
    assert good is None
    assert "'['" in bad


@pytest.mark.parametrize("options", [{"pattern": "("}, {"seconds": 0}, {"workers": 0}])
def test_options_that_cannot_work_are_refused(options):
    with pytest.raises(UserError, match=f"verifier.{next(iter(options))}"):
        RegexMatch(**options)


def test_searching_for_the_answer_has_the_same_deadline():
    verifier = RegexMatch(r"(?:\w+\s?)+:(.+)", seconds=0.3)
    slow, quick = verifier.score(["so " * 40, "so: a"], [prompt_of("a"), prompt_of("a")])
    verifier.pool.close()
    assert slow.status == Status.TIMEOUT
    assert (quick.reward, quick.answer) == (1.0, "a")
