import pytest
from hypothesis import given
from hypothesis import strategies as st
from math_data import prompt_of

from p2o.errors import UserError
from p2o.verifiers import MultipleChoice, Status
from p2o.verifiers.multiple_choice import find_letters


@pytest.mark.parametrize(
    "response",
    [
        "(B)",
        "B.",
        "**B**",
        "b",
        "The answer is B",
        "The answer is (B) because A is too small.",
        "The correct answer is:\n\nB",
        "Final answer: **B**.",
        r"\boxed{B}",
        r"A or C? No: \boxed{\text{(B)}}",
        r"\boxed{\textbf{(B) }12}",
        r"The answer is $\text{B}$.",
        "option b",
        "I think that option B fits.",
        "So we take (B) here, as A person would.",
        "B) Paris",
        "A is wrong.\nB: Paris",
    ],
)
def test_a_letter_is_found_however_it_is_written(response):
    [score] = MultipleChoice().score([response], [prompt_of("B")])
    assert (score.reward, score.status, score.answer) == (1.0, Status.OK, "B")


@pytest.mark.parametrize(
    "response",
    [
        "",
        "The answer is a number.",
        "I am not sure",
        "The answer is not B",
        "A cat sat.",
        "Answer: 12",
        "A or B",
        "The answer is A or B.",
        "The answer is B. No, the answer is C.",
        r"\boxed{A, B}",
        "Both (A) and (B) are right.",
    ],
)
def test_no_letter_or_several_are_no_answer(response):
    [score] = MultipleChoice().score([response], [prompt_of("B")])
    assert (score.reward, score.status) == (0.0, Status.NO_ANSWER)


def test_wrong_letters_and_letters_that_are_no_choice():
    verifier = MultipleChoice(choices=3)
    wrong, none = verifier.score(["(A)", "(D)"], [prompt_of("(b)")] * 2)
    assert (wrong.reward, wrong.status) == (0.0, Status.OK)
    assert (none.reward, none.status) == (0.0, Status.PARSE_ERROR)


@pytest.mark.parametrize("letter", "ABCDEFGHIJ")
def test_up_to_ten_choices_by_letter_or_index(letter):
    index = "ABCDEFGHIJ".index(letter)
    for gold, first in ((letter, None), (str(index), 0), (str(index + 1), 1)):
        [score] = MultipleChoice(10, first).score([f"Answer: {letter}"], [prompt_of(gold)])
        assert score.reward == 1.0


def test_golds_that_are_no_choice_are_named():
    letters = MultipleChoice().check_gold([prompt_of("(c)"), prompt_of("E"), prompt_of("x", "A")])
    assert [reason is None for reason in letters] == [True, False, True]
    indices = MultipleChoice(first_index=1).check_gold([prompt_of("4"), prompt_of("0")])
    assert [reason is None for reason in indices] == [True, False]
    [score] = MultipleChoice().score(["A"], [prompt_of("E")])
    assert score.status == Status.ERROR


@pytest.mark.parametrize("choices", [1, 11])
def test_a_number_of_choices_out_of_range_is_refused(choices):
    with pytest.raises(UserError, match="^choices="):
        MultipleChoice(choices)


@given(st.text(alphabet="ABIab (){}*\\.,:ornswei\n", max_size=80))
def test_any_text_gives_letters_in_order(text):
    letters = find_letters(text)
    assert letters == sorted(set(letters))
    assert set(letters) <= set("ABCDEFGHIJ")
