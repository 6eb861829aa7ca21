from fractions import Fraction
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2o.errors import UserError
from p2o.prompt import Prompt
from p2o.verifiers import Numeric, Status
from p2o.verifiers.numeric import read_number
from tests.patience import within


def prompt(gold: str) -> Prompt:
    return Prompt.create([{"role": "user", "content": "?"}], gold)


def score(response: str, gold: str, **options):
    return Numeric(**options).score([response], [prompt(gold)])[0]


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("12 apples", 12),
        ("$1,234.50", 1234.5),
        ("-$5", -5),
        ("about -3.5e2 metres", -350),
        ("3/4", 0.75),
        ("50%", 50),
        ("\u22127.", -7),
        (".5", 0.5),
        ("x=12", 12),
        ("1,23", Fraction(123, 100)),
        ("007", 7),
        ("1 1/2 cups", 1.5),
        ("1/1,000", Fraction(1, 1000)),
        (r"$-\frac{3}{4}$", -0.75),
        (r"1{,}234", 1234),
        ("1.5 \u00d7 10^3 km", 1500),
        (r"2 \times 10^{-2}", Fraction(1, 50)),
        ("\u20135", -5),
    ],
)
def test_numbers_as_people_write_them(text, number):
    assert read_number(text) == number


@pytest.mark.parametrize(
    "text", ["", "none", "1/0", "1e999999999", "9" * 100_000, "x12", "nan", "inf", "x" + " " * 399]
)
def test_what_is_no_finite_number_is_none_and_takes_no_time(text):
    assert read_number(text) is None
    assert within(0.5, partial(read_number, text))


@given(st.integers(-(10**12), 10**12))
def test_integers_are_read_back_with_and_without_separators(number):
    assert read_number(str(number)) == number
    assert read_number(f"{number:,} units.") == number


@given(st.floats(-1e15, 1e15))
def test_floats_are_read_back(number):
    read = read_number(repr(number))
    assert read is not None
    assert float(read) == number


@given(st.text())
def test_no_text_raises(text):
    read_number(text)
    assert score(f"Answer: {text}", "1").reward in (0.0, 1.0)


def test_the_last_answer_line_counts():
    assert score("Answer: 3\nNo, wait.\nAnswer: 4 pens", "4.0").reward == 1.0
    assert score("Answer: 4\nAnswer: 3", "4").reward == 0.0


@pytest.mark.parametrize("mark", ["Answer:", "Answer：", "**Answer**:", "**Answer:**", "Answer :"])
def test_the_answer_mark_in_other_spellings(mark):
    assert score(f"So it is 3.\n{mark} 4", "4").reward == 1.0


def test_a_gold_answer_that_is_no_number_is_compared_as_text():
    assert score("Answer: 3:30.", "3:30").reward == 1.0
    assert score("Answer: **MONDAY**", "Monday").reward == 1.0
    for wrong in ("3", "330", "4:30", ".", ""):
        verdict = score(f"Answer: {wrong}", "3:30")
        assert (verdict.reward, verdict.status in (Status.ERROR, Status.NO_ANSWER)) == (0.0, True)
    assert score("Answer: 5", ".5").reward == 0.0


def test_a_pattern_that_takes_for_ever_costs_its_own_answer_only():
    verifier = Numeric(pattern=r"(?:a+)+=(\d+)", seconds=0.3)
    responses = ["aa=7", "a" * 60, "a=8"]
    scores = verifier.score(responses, [prompt("7")] * 3)
    assert [one.reward for one in scores] == [1.0, 0.0, 0.0]
    assert [one.status for one in scores] == [Status.OK, Status.TIMEOUT, Status.OK]
    assert "0.3 seconds" in scores[1].detail


def test_long_integers_are_compared_to_the_last_digit():
    assert score("Answer: 12345678901234567891", "12345678901234567890").reward == 0.0
    assert score("Answer: 12345678901234567890", "12,345,678,901,234,567,890").reward == 1.0


def test_statuses():
    assert score("It is 4.", "4").status == Status.NO_ANSWER
    assert score("Answer: four", "4").status == Status.PARSE_ERROR
    assert score("Answer: 5", "4").status == Status.OK


@pytest.mark.parametrize("near", ["7.0000000001", "6.9999999", "7.0000001 m", "70000001/10000000"])
def test_an_integer_is_not_rounded_to_unless_a_tolerance_is_given(near):
    assert score(f"Answer: {near}", "7").reward == 0.0
    assert score(f"Answer: {near}", "7.00").reward == 0.0
    assert score(f"Answer: {near}", "7", absolute_tolerance=1e-6).reward == 1.0
    assert score(f"Answer: {near}", "7", relative_tolerance=1e-6).reward == 1.0


def test_a_gold_number_that_is_no_integer_is_met_to_the_digits_that_count():
    assert score("Answer: 0.333333", "1/3").reward == 1.0
    assert score("Answer: 0", "0.0000005").reward == 0.0
    assert score("Answer: 0.0000004", "0.0000005").reward == 0.0


@pytest.mark.parametrize(
    "tiny", ["1e-7", "1e-400", "-1e-400", "1e-9999", "10^-400", "10^-9999", "0.1^5000", "2e-320"]
)
def test_no_number_is_too_small_to_differ_from_zero(tiny):
    assert score(f"Answer: {tiny}", "0").reward == 0.0
    assert score(f"Answer: {tiny}", tiny).reward == 1.0


@pytest.mark.parametrize("zero", ["0", "0.00", "0e-400", "0^3", "-0", "0/7", "0 km"])
def test_zero_in_any_spelling_is_zero(zero):
    assert score(f"Answer: {zero}", "0").reward == 1.0


def test_tolerances():
    assert score("Answer: 3.14", "3.14159").reward == 0.0
    assert score("Answer: 3.14", "3.14159", absolute_tolerance=0.01).reward == 1.0
    assert score("Answer: 101", "100", relative_tolerance=0.02).reward == 1.0


def test_a_tolerance_of_the_prompt_takes_the_place_of_the_verifier_s():
    prompt = Prompt.create([{"role": "user", "content": "?"}], "4.2", tolerance=0.1)
    scores = Numeric().score(["Answer: 4.3", "Answer: 4.31"], [prompt] * 2)
    assert [score.reward for score in scores] == [1.0, 0.0]


def test_percent_is_a_unit_or_a_hundredth():
    for answer, gold, unit, hundredth in (
        ("50%", "50", 1.0, 0.0),
        ("50 \\%", "0.5", 0.0, 1.0),
        ("50 percent", "1/2", 0.0, 1.0),
        ("0.5", "50%", 0.0, 1.0),
        ("12.5%", "12.5%", 1.0, 1.0),
    ):
        assert score(f"Answer: {answer}", gold).reward == unit
        assert score(f"Answer: {answer}", gold, percent_as_hundredth=True).reward == hundredth


def test_any_of_several_golds_is_enough():
    prompt = Prompt.create([{"role": "user", "content": "?"}], "Monday", ["7", "8"])
    [right] = Numeric().score(["Answer: 8"], [prompt])
    assert right.reward == 1.0
    assert Numeric().check_gold([prompt]) == [None]


def test_a_gold_answer_without_a_number_is_named():
    bad = prompt("Monday")
    [reason] = Numeric().check_gold([bad])
    assert reason is not None
    assert "'Monday'" in reason
    [verdict] = Numeric().score(["Answer: 4"], [bad])
    assert (verdict.reward, verdict.status) == (0.0, Status.ERROR)


@pytest.mark.parametrize("name", ["absolute_tolerance", "relative_tolerance"])
@pytest.mark.parametrize("value", [-0.1, float("nan"), float("inf")])
def test_a_tolerance_that_makes_no_sense_is_refused(name, value):
    with pytest.raises(UserError, match=f"^{name}="):
        Numeric(**{name: value})


@pytest.mark.parametrize("pattern", ["(", "Answer"])
def test_a_pattern_that_cannot_work_is_refused(pattern):
    with pytest.raises(UserError, match="^pattern="):
        Numeric(pattern)


@pytest.mark.parametrize(
    "answer",
    ["12, no, 13", "12 no 13", "12... wait, 13", "12, sorry, it is 13", "12 (actually 13)"],
)
def test_a_number_that_is_taken_back_for_another_one_is_not_rewarded(answer):
    assert score(f"Answer: {answer}", "12").reward == 0.0


@pytest.mark.parametrize("answer", ["12, no more", "12, not 13", "12, actually", "12 (no units)"])
def test_a_number_with_words_behind_it_stays(answer):
    assert score(f"Answer: {answer}", "12").reward == 1.0
