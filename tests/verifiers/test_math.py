import dataclasses
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from math_data import prompt_of

from p2o.verifiers import Math, Status
from p2o.verifiers.answers import find_answer
from p2o.verifiers.math_text import clean, readings
from p2o.verifiers.math_units import read_quantity
from p2o.verifiers.math_verify_alone import MathVerifyAlone
from p2o.verifiers.plain_number import read_plain


@pytest.mark.parametrize(
    ("response", "answer"),
    [
        (r"so \boxed{3}, that is \boxed{4}", "4"),
        (r"The answer is $x=5$.", "x=5"),
        (r"The answer is $5$ or $6$.", "5,6"),
        ("**Answer:** 1/2", "1/2"),
        ("Final answer: 12 apples.", "12 apples"),
        ("The answer is 3.\nNo, the answer is 4.", "4"),
        ("They add up.\n#### 1,234", "1,234"),
        (r"We get \(a\), then \(b+1\).", "b+1"),
        (r"Therefore \[ x^2 \]", "x^2"),
        ("3 and 4 make 7.", "7"),
        ("I do not know", ""),
    ],
)
def test_answers_are_found_without_a_box(response, answer):
    assert find_answer(response) == answer


@given(st.text(alphabet="$\\()[]{}boxedanswer is:#12\n", max_size=60))
def test_any_text_can_be_searched(text):
    find_answer(text)
    clean(text)


@given(st.integers(-(10**9), 10**9), st.integers(1, 10**4))
def test_plain_numbers_are_read_back(above, below):
    value = Fraction(above, below)
    sign = "-" if above < 0 else ""
    for text in (
        f"{above}/{below}",
        rf"{sign}\frac{{{abs(above)}}}{{{below}}}",
        rf"{sign}\dfrac{{{abs(above)}}}{{{below}}}.",
        rf"${above}/{below}\text{{ km}}$",
    ):
        assert read_plain(read_quantity(clean(text)).core) == value
    assert read_plain(readings(clean(f"{above:,}"))[0]) == above
    assert read_plain(clean(rf"{above} \times 10^{{-3}}")) == Fraction(above, 1000)


@pytest.mark.slow
def test_any_of_several_golds_is_enough():
    verifier = Math(seconds=30)
    prompts = [prompt_of("x", "2x+1"), prompt_of("t(0,4]", r"\frac{1}{x}")]
    scores = verifier.score([r"\boxed{1+2x}", r"\boxed{x^{-1}}"], prompts)
    assert [score.reward for score in scores] == [1.0, 1.0]
    assert verifier.check_gold(prompts) == [None, None]
    verifier.pool.close()


@pytest.mark.slow
def test_words_of_the_question_may_stand_behind_the_answer():
    verifier = Math()
    asked = prompt_of("5")
    about = dataclasses.replace(
        asked, messages=({"role": "user", "content": "How many more wugs? 共有多少只兔"},)
    )
    answers = [r"\boxed{5 \text{ wugs}}", r"\boxed{5 \text{ 兔}}", r"\boxed{5 \text{ more wugs}}"]
    rewards = [score.reward for score in verifier.score(answers * 2, [about] * 3 + [asked] * 3)]
    verifier.pool.close()
    assert rewards == [1, 1, 0, 0, 0, 0]


@pytest.mark.slow
def test_statuses():
    verifier = Math(seconds=30)
    responses = [r"\boxed{x+}", r"\boxed{x+1}", r"\boxed{x+1}", "none", r"\boxed{(0,4]}"]
    golds = ["x+2", "x+2", "t(0,4]", "x+2", "$t(0,4]$"]
    scores = verifier.score(responses, [prompt_of(gold) for gold in golds])
    assert [score.status for score in scores] == [
        Status.PARSE_ERROR,
        Status.OK,
        Status.ERROR,
        Status.NO_ANSWER,
        Status.ERROR,
    ]
    assert "gold answer cannot be parsed" in scores[2].detail
    assert not any(score.reward for score in scores)
    verifier.pool.close()


@pytest.mark.slow
def test_a_gold_answer_that_cannot_be_read_is_compared_as_text():
    verifier = Math(seconds=30)
    prompts = [prompt_of("$t(0,4]$"), prompt_of("the arc $A B$ of $x(y,2]$")]
    scores = verifier.score([r"\boxed{t (0, 4]}", r"\boxed{The arc AB of x(y, 2].}"], prompts)
    assert [score.status for score in scores] == [Status.OK, Status.ERROR]
    assert scores[0].reward == 1.0
    [score] = verifier.score([r"\boxed{\text{the arc } A B \text{ of } x(y,2]}"], prompts[1:])
    assert score.reward == 1.0
    assert [reason is None for reason in verifier.check_gold(prompts)] == [False, False]
    verifier.pool.close()


def test_math_verify_alone_gives_the_same_statuses():
    verifier = MathVerifyAlone(seconds=30)
    responses = [r"\boxed{x+1}", r"\boxed{x+2}", "none", r"\boxed{2}"]
    prompts = [prompt_of("1+x"), prompt_of("x", "2+x"), prompt_of("3"), prompt_of("3")]
    scores = verifier.score(responses, prompts)
    assert [score.reward for score in scores] == [1.0, 1.0, 0.0, 0.0]
    expected = [Status.OK, Status.OK, Status.NO_ANSWER, Status.OK]
    assert [score.status for score in scores] == expected
    assert scores[0].answer == "x+1"
    verifier.pool.close()


@pytest.mark.slow
def test_golds_that_cannot_be_parsed_are_named():
    verifier = Math(seconds=30)
    golds = ["5", r"\text{yes}", "x+1", r"\boxed{2y}", "t(0,4]", "", "1/0", "f, where x is an even"]
    reasons = verifier.check_gold([prompt_of(gold) for gold in golds])
    assert [reason is None for reason in reasons] == [True] * 4 + [False] * 4
    assert "'t(0,4]'" in str(reasons[4])
    verifier.pool.close()
