import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from math_data import prompt_of

from p2o.errors import UserError
from p2o.verifiers import BoxedMath, Status
from p2o.verifiers.answers import find_boxes
from p2o.verifiers.math_verify_alone import MathVerifyAlone


@pytest.mark.slow
def test_equal_and_unequal_answers():
    verifier = BoxedMath(seconds=10)
    equal = [
        (r"so \boxed{\frac{1}{2}}.", r"\boxed{\dfrac12}"),
        (r"\boxed {\{1, 2\}}", r"\{2,1\}"),
        (r"\boxed{\sqrt{8}}", r"2\sqrt{2}"),
    ]
    unequal = [(r"\boxed{(1,2]}", "[1,2)"), (r"\boxed{-x}", "x")]
    cases = equal + unequal
    scores = verifier.score([text for text, _ in cases], [prompt_of(gold) for _, gold in cases])
    assert [score.reward for score in scores] == [1.0] * len(equal) + [0.0] * len(unequal)
    assert {score.status for score in scores} == {Status.OK}
    verifier.pool.close()


def test_exactly_one_box_is_an_answer():
    responses = ["4", r"\boxed{3} or \boxed{4}", r"\boxed{ }", r"\boxed{4"]
    scores = BoxedMath(seconds=30).score(responses, [prompt_of("4")] * 4)
    assert {score.status for score in scores} == {Status.NO_ANSWER}
    assert not any(score.reward for score in scores)
    assert "2 boxes" in scores[1].detail
    [relaxed] = BoxedMath(exactly_one=False, seconds=30).score([responses[1]], [prompt_of("4")])
    assert relaxed.reward == 1.0


@given(st.text(alphabet="ab{}\\", max_size=30))
def test_any_text_is_searched_for_boxes(text):
    whole = text + "\n\\boxed{" + text
    # A box that is a part of more comes back empty.
    for box in filter(None, find_boxes(whole)):
        assert "\\boxed{" + box + "}" in whole


@given(
    st.recursive(st.just("x"), lambda inner: inner.map(lambda s: "{" + s + "}" + s), max_leaves=6)
)
def test_balanced_contents_come_back_whole(content):
    assert find_boxes("so " + r"\boxed{" + content + "} b") == [content]


@pytest.mark.parametrize("tail", ["", "}", r"\boxed{5}"])
def test_many_unclosed_boxes_take_no_time(tail):
    started = time.monotonic()
    assert len(find_boxes(r"\boxed{" * 20_000 + tail)) == bool(tail)
    assert time.monotonic() - started < 1.0


@pytest.mark.parametrize("verifier", [BoxedMath, MathVerifyAlone])
@pytest.mark.parametrize("bad", [{"seconds": 0.0}, {"workers": 0}])
def test_a_deadline_and_workers_must_be_positive(verifier, bad):
    with pytest.raises(UserError, match=f"^{next(iter(bad))}"):
        verifier(**bad)
