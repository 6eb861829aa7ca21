"""A hint as one problem sees it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2o.errors import UserError
from p2o.hints.filling import check_columns, fill, first_part
from p2o.prompt import Prompt
from p2o_callbacks import Hint

SOLUTION = "Half of 48 is 24.\nIn all 72."


def problem(question="How many?", **columns):
    return Prompt.create([{"role": "user", "content": question}], "72", **columns)


@pytest.mark.parametrize(
    ("share", "part"),
    [
        (0, ""),
        (0.01, "Half"),
        (0.5, "Half of 48 is"),
        (5 / 8, "Half of 48 is 24."),
        (0.7, "Half of 48 is 24.\nIn"),
        (1, SOLUTION),
    ],
)
def test_a_share_is_of_the_words_and_keeps_the_space_between_them(share, part):
    assert first_part(SOLUTION, share) == part


@given(st.text(), st.floats(0, 1), st.floats(0, 1))
def test_a_larger_share_begins_like_a_smaller_one(text, one, other):
    small, large = sorted((one, other))
    assert first_part(text, large).startswith(first_part(text, small))
    assert first_part(text, 1.0) == text.strip()


def test_the_share_of_a_whole_number_of_words_is_that_number():
    text = " ".join(map(str, range(100)))
    for percent in range(1, 101):
        assert len(first_part(text, percent / 100).split()) == percent


def test_columns_are_filled_in_from_the_problem():
    hint = Hint("Plan: {plan}\n{solution:50%}", prefix="{solution:25%}", columns=True)
    filled = fill(hint, problem(plan="add", solution=SOLUTION))
    assert filled == Hint("Plan: add\nHalf of 48 is", prefix="Half of")


@given(st.text())
def test_braces_of_an_instruction_stay_braces(text):
    """An evolved instruction must not be able to read the solution."""
    hint = Hint(text + "{solution}")
    assert fill(hint, problem(solution=SOLUTION)) == hint


def test_what_a_column_holds_is_not_filled_in_again():
    filled = fill(Hint("{plan}", columns=True), problem(plan="{solution}", solution="secret"))
    assert filled.text == "{solution}"


def test_a_text_around_a_share_of_nothing_is_left_out():
    assert fill(Hint("It begins: {solution:0%}", columns=True), problem(solution="x")).empty


def test_a_solved_problem_is_not_shown_to_itself():
    turns = (("How many?", "72"), ("How much?", "5"))
    assert fill(Hint("", turns=turns), problem()).turns == (("How much?", "5"),)
    assert fill(Hint("", turns=turns), problem("Why?")).turns == turns


@pytest.mark.parametrize(
    ("columns", "line"),
    [
        ({"row": 7, "plan": "x"}, "row 7 has no column 'solution', which the hints need; "),
        ({"row": 7, "solution": None}, "row 7 has nothing in column 'solution', which"),
        ({"row": 7, "solution": " \n"}, "row 7 has nothing in column 'solution', which"),
    ],
)
def test_a_missing_column_is_named_with_its_row(columns, line):
    good = problem("Good?", row=6, solution="fine")
    with pytest.raises(UserError) as error:
        check_columns([Hint("{solution:50%}", columns=True)], [good, problem(**columns)])
    assert str(error.value).startswith(line)
    assert "name the column with a reference solution in the source's solution" in str(error.value)
    assert "\n" not in str(error.value)


def test_another_missing_column_is_to_be_kept():
    with pytest.raises(
        UserError, match=r"name it in the source's keep, or hint at one of solution"
    ):
        check_columns([Hint("", prefix="{plan}", columns=True)], [problem(row=1, solution="x")])


def test_columns_that_are_no_columns_are_not_missed():
    check_columns([Hint("{plan}"), Hint("", turns=(("{plan}", "{plan}"),))], [problem()])
