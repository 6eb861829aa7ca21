import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2o.data.prompt import Prompt
from p2o.errors import UserError
from p2o.verifiers import BoxedMath, Status
from p2o.verifiers.boxed_math import find_boxes


def prompt(gold: str) -> Prompt:
    return Prompt.create([{"role": "user", "content": "?"}], gold)


@pytest.fixture(scope="module")
def verifier():
    verifier = BoxedMath(seconds=10)
    yield verifier
    verifier.pool.close()


def test_equal_and_unequal_answers(verifier):
    equal = [
        (r"\boxed{1/2}", "0.5"),
        (r"so \boxed{\frac{1}{2}}.", r"\boxed{\dfrac12}"),
        (r"\boxed{\{1, 2\}}", r"\{2,1\}"),
        (r"\boxed{2^{10}}", "1024"),
        (r"\boxed{[1, 2)}", "[1,2)"),
        (r"\boxed{\text{Monday}}", "Monday"),
        (r"\boxed{\sqrt{8}}", r"2\sqrt{2}"),
        (r"\boxed{50}", r"50\%"),
        (r"\boxed{12.5\%.}", "12.5"),
    ]
    unequal = [
        (r"\boxed{3}", "4"),
        (r"\boxed{\frac{1}{3}}", "0.33"),
        (r"\boxed{(1,2]}", "[1,2)"),
        (r"\boxed{-5}", "5"),
        (r"\boxed{1 2}", "12"),
        (r"\boxed{50\%}", "0.5"),
    ]
    cases = equal + unequal
    scores = verifier.score([response for response, _ in cases], [prompt(g) for _, g in cases])
    assert [score.reward for score in scores] == [1.0] * len(equal) + [0.0] * len(unequal)
    assert {score.status for score in scores} == {Status.OK}


def test_exactly_one_box_is_an_answer(verifier):
    responses = ["4", r"\boxed{3} or \boxed{4}", r"\boxed{ }", r"\boxed{4"]
    scores = verifier.score(responses, [prompt("4")] * 4)
    assert {score.status for score in scores} == {Status.NO_ANSWER}
    assert not any(score.reward for score in scores)
    [relaxed] = BoxedMath(exactly_one=False).score([responses[1]], [prompt("4")])
    assert relaxed.reward == 1.0


def test_pathological_answers_each_get_a_status_and_stop_nothing():
    verifier = BoxedMath(seconds=1.5, workers=2)
    nasty = [
        "9^{9^{9^{9}}}",
        r"\frac{1}{" * 60 + "2" + "}" * 60,
        "9" * 100_000,
        "\x00",
        "\u0663\u0664",
        "\u202e12",
        r"\left(" * 100,
        "x" * 1500,
        "10^{10^{10}}!",
    ]
    responses = [f"\\boxed{{{text}}}" for text in nasty]
    scores = verifier.score(responses, [prompt("3")] * len(nasty))
    assert [score.reward for score in scores] == [0.0] * len(nasty)
    assert Status.TIMEOUT in {score.status for score in scores}
    [after] = verifier.score([r"\boxed{6/2}"], [prompt("3")])
    assert after.reward == 1.0
    verifier.pool.close()


@given(st.text(alphabet="ab{}\\", max_size=30))
def test_any_text_is_searched_for_boxes(text):
    for box in find_boxes(text + r"\boxed{" + text):
        assert "\\boxed{" + box + "}" in text + r"\boxed{" + text


@given(
    st.recursive(st.just("x"), lambda inner: inner.map(lambda s: "{" + s + "}" + s), max_leaves=6)
)
def test_balanced_contents_come_back_whole(content):
    assert find_boxes("a" + r"\boxed{" + content + "} b") == [content]


@pytest.mark.parametrize("tail", ["", "}", r"\boxed{5}"])
def test_many_unclosed_boxes_take_no_time(tail):
    started = time.monotonic()
    assert len(find_boxes(r"\boxed{" * 20_000 + tail)) == bool(tail)
    assert time.monotonic() - started < 1.0


def test_a_deadline_must_be_positive():
    with pytest.raises(UserError, match="verifier.seconds"):
        BoxedMath(seconds=0)
