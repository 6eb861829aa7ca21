"""A thousand answers that hang, crash or swell a parser: each gets a status."""

import random
import subprocess
import sys
import time
from functools import partial

import pytest
from math_data import prompt_of

from p2o.verifiers import BoxedMath, ExactMatch, Math, MultipleChoice, Numeric, Status
from p2o.verifiers.answers import find_answer
from p2o.verifiers.math_compare import Comparison, Verdict
from p2o.verifiers.math_equal import judge
from p2o.verifiers.math_forms import FORMS
from p2o.verifiers.math_size import is_small
from p2o.verifiers.math_text import clean, is_sound, squeeze
from p2o.verifiers.math_units import read_quantity
from p2o.verifiers.math_words import fold, is_prose, is_words, spelled_number
from p2o.verifiers.worker import Failure
from tests.patience import within

SOUP = "\\{}[]()^_&$%#~|/+-*=<>!.,;: 0123abcxyz"
SLOW = (
    "9^{9^{9^{9}}}",
    "7^{8^{999}}",
    "98765432!",
    "2^{2^{2^{2^{2^{2}}}}}",
    r"\sum_{n=1}^{10^9} \frac{1}{n^7}",
    r"\int_0^{\infty} e^{-x^{71}} \sin(x^{x}) dx",
    r"\binom{987654321}{123456789}",
    "(a+b+c+d+e+f+g+h)^{610}",
    "10^{10^{10}}!",
    r"\prod_{k=1}^{10^8} k",
)


def nasty(seed: int, count: int) -> list[str]:
    draw = random.Random(seed)
    number = draw.randint
    makers = (
        lambda: draw.choice(SLOW),
        lambda: r"\frac{1}{" * number(20, 400) + "2" + "}" * number(0, 400),
        lambda: r"\sqrt{" * number(20, 300) + "x" + "}" * 300,
        lambda: "(" * number(20, 900) + "1" + ")" * number(20, 900),
        lambda: "{" * number(1, 900),
        lambda: "}" * number(1, 900) + "{",
        lambda: "".join(draw.choices("0123456789", k=number(1, 100_000))),
        lambda: "9" * 100_000,
        lambda: "".join(chr(number(0x660, 0x669)) for _ in range(number(1, 30))),
        lambda: f"\u202e{number(10, 999)}\u202c\u200f",
        lambda: "\x00" * number(1, 50) + str(number(4, 9)),
        lambda: "".join(chr(number(0, 0xD7FF)) for _ in range(number(1, 200))),
        lambda: "".join(draw.choices(SOUP, k=number(1, 40))),
        lambda: r"\begin{pmatrix}" * number(1, 50) + "1 & 2" * number(1, 100),
        lambda: r"\text{" * number(1, 500),
        lambda: "," * number(1, 900),
        lambda: "0." + "0" * number(1, 900) + "1",
        lambda: "'" * number(1, 900),
        lambda: f"{number(1, 9)}e{number(100, 9999)}",
        lambda: "1/" * number(1, 50) + "0",
    )
    return [makers[index % len(makers)]() for index in range(count)]


@pytest.fixture(scope="module")
def verifier():
    verifier = Math(seconds=30)
    yield verifier
    verifier.pool.close()


REPEATED = (
    *("m ", " m", "m", ",", ", ", "5 ", "5", "{", "}", r"\text{m}", r"\text{m} ", "(a)", "(ab) "),
    *("(", "()", r"\frac", r"\frac{", r"^\circ ", r"^{\circ}", r"\%", "%", "0", "0.", "000 "),
    *(",000", "'", r"\prime ", "and ", " or", "=", " = ", "|", "\\\\", "&", "sqrt((", "sqrt(()"),
    *(r"\begin{array}{l}", r"\end{array}", r"\{\begin{cases}", "[1,", "],", ". ", "!", "~", r"\,"),
    *("C_1^", r"\mathrm{", "_{", "^", "**", "$", r"\$", "answer ", "answer is ", "<answer>"),
    *(
        r"\boxed ",
        r"\boxed{",
        "so ",
        r"\pm",
        r"\cup",
        "is ",
        "there are ",
        "million ",
        "two ",
        "a ",
    ),
    *("if the answer is ", "not ", "isn't ", "be ", "0.(3)", "1:", "2,5", r"{1\over ", r"\frac a"),
    *("-", "1/", "1/2 ", "x=", "(1)", r"\textcircled{1}", r"\pmod", "1:", "e1", "½", "²", "一"),
    *(
        "km/",
        r"\log_2(",
        r"\binom{1}{2}",
        r"0.\overline{3}",
        "\n",
        "\t",
        "\x00",
        "of ",
        "abs(",
        "<",
    ),
)
"""What a pattern may try in too many ways when it stands side by side."""


def rewritten(text: str) -> None:
    """All that is done with a response but for algebra."""
    find_answer(text)
    cleaned = clean(text[:2000])
    squeeze(text[:2000])
    read_quantity(cleaned)
    for agree in FORMS:
        agree(cleaned, cleaned)
    for words in (is_words, is_prose, fold, spelled_number):
        words(cleaned)


@pytest.mark.slow
@pytest.mark.parametrize("part", REPEATED)
def test_no_pattern_tries_repeated_text_in_ever_more_ways(part):
    # Where the time doubles with each repetition, the first of these is over it, and the last ends.
    for count in (20, 24, 28, 10_000 // len(part)):
        for head, tail in (("", ""), ("5", "q")):
            text = head + part * count + tail
            assert within(1.0, lambda text=text: rewritten(text))


@pytest.mark.slow
@pytest.mark.parametrize("verifier", [BoxedMath, Math])
def test_letters_behind_a_number_do_not_hang_a_verifier(verifier):
    verifier = verifier(seconds=30)
    answers = ["m " * 30 + "q", "km " * 30 + "7", r"\text{m}" * 30 + "q", "/m" * 300 + "("]
    responses = [f"\\boxed{{5 {answer}}}" for answer in answers]
    scores = verifier.score(responses, [prompt_of("5")] * len(answers))
    assert [score.reward for score in scores] == [0.0] * len(answers)
    assert {score.status for score in scores} <= {Status.PARSE_ERROR, Status.OK}
    verifier.pool.close()


def test_an_answer_is_only_looked_at_under_the_deadline():
    program = (
        "import sys\n"
        "from p2o.prompt import Prompt\n"
        "from p2o.verifiers import Math\n"
        "verifier = Math()\n"
        "[score] = verifier.score(['so it is 4 m'], [Prompt.create([], '4')])\n"
        "verifier.pool.close()\n"
        "assert score.reward == 1.0\n"
        "assert 'p2o.verifiers.math_text' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_math_verify_is_loaded_before_the_first_deadline():
    program = (
        "import importlib, sys\n"
        "from p2o.verifiers.math_verify_alone import MathVerifyAlone\n"
        "assert 'math_verify' not in sys.modules\n"
        "module, _, _ = MathVerifyAlone().pool.function.partition(':')\n"
        "importlib.import_module(module)\n"
        "assert 'math_verify' in sys.modules and 'sympy' in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize(
    "answer",
    [",", " , ;", r"\,", "...", "==", "and", r"\text{}", "$$", '""', "\u200b", "1/2 " * 500],
)
def test_answers_of_nothing_or_too_much_are_no_faults_of_the_verifier(answer, verifier):
    scores = verifier.score([f"\\boxed{{{answer}}}"] * 3, [prompt_of(g) for g in ("7", "1,2", "(")])
    assert not any(score.reward for score in scores)
    assert {score.status for score in scores[:2]} <= {Status.PARSE_ERROR, Status.OK}


@pytest.mark.slow
def test_a_thousand_pathological_answers_finish_with_a_status_each():
    verifier = Math(seconds=1.0, workers=2)
    texts = nasty(seed=0, count=1000)
    scores = verifier.score([f"\\boxed{{{text}}}" for text in texts], [prompt_of("-77/6")] * 1000)
    assert len(scores) == 1000
    assert not any(score.reward for score in scores)
    assert {Status.PARSE_ERROR, Status.OK} <= {score.status for score in scores}
    assert not {score.status for score in scores} & {Status.TIMEOUT, Status.ERROR}
    [after] = verifier.score([r"\boxed{x+x}"], [prompt_of("2x")])
    assert after.reward == 1.0
    verifier.pool.close()


HUGE = (
    *("10^{10^8}", "10^{99999999}", "0.1^{10^9}", "1.0000001^{10^9}", "(10!)!", "(10^8)!"),
    *("e^{e^{e^{e^{e}}}}", "5" + "²" * 60, "1000000!", "9^9^9^9", r"\sqrt{9^{9^9}}", "x^{10^9}"),
    *(r"\binom{10^7}{5\cdot10^6}", r"\sum_{k=1}^{10^7} 1/k", r"\frac{1}{9^{9^9}}", "2**(10**9)"),
)
LARGE = (
    *("2^{2023}", "2020!", "x^{x^x}", "2^{100-50+3}", "10^{3.14159}", "90^{\\circ}", "(x+1)^{100}"),
    *(r"\binom{2020}{1010}", r"\binom{10^9}{2}", r"\sum_{k=1}^{100} k", "10^{-30}", "3^{3^3}"),
    *(r"\int_0^{10^9} x dx", r"\log_2 10^9", r"6.02\times 10^{23}"),
)


def test_numbers_that_nobody_can_write_down_are_not_computed(verifier):
    scores = verifier.score([f"\\boxed{{{one}}}" for one in HUGE], [prompt_of("7")] * len(HUGE))
    assert {score.status for score in scores} == {Status.PARSE_ERROR}
    assert [one for one in (*SLOW[:4], *HUGE) if is_small(clean(one))] == []
    assert [one for one in LARGE if not is_small(clean(one))] == []


def test_an_answer_that_misses_the_deadline_is_no_fault_of_the_verifier(monkeypatch):
    verifier = Math()
    late = Failure(True, "took more than 5 seconds and was stopped")
    gold: dict[str, Verdict | Failure] = {"verdict": Verdict.EQUAL}
    monkeypatch.setattr(
        verifier.pool,
        "map",
        lambda asked, seconds: [late if one.answer else gold["verdict"] for one in asked],
    )
    [score] = verifier.score([r"\boxed{5}"], [prompt_of("7")])
    assert (score.status, score.reward) == (Status.PARSE_ERROR, 0.0)
    assert "deadline" in score.detail
    gold["verdict"] = late
    [score] = verifier.score([r"\boxed{5}"], [prompt_of("7")])
    assert score.status == Status.TIMEOUT


@pytest.mark.parametrize(
    "answer",
    [r"\int x^2 dx", "5 m^2 m^2", r"\lfloor e^{1000} \rfloor", r"\int_0^1 x^{x^x} dx", r"\lim x"],
)
def test_what_sympy_cannot_compute_is_no_error(answer, verifier):
    [score] = verifier.score([f"\\boxed{{{answer}}}"], [prompt_of("5")])
    assert score.status in (Status.PARSE_ERROR, Status.OK)
    assert score.reward == 0.0


@pytest.mark.parametrize(
    "part",
    ["5 m ", "x=", "½", "1.1.", "1.", "C_", r"\{", "½ ", "1/2 ", "(1)", "5!", r"(0,1)\cup "],
)
def test_what_is_repeated_is_compared_in_no_time(part):
    for answer in (part * (1900 // len(part)), "5 " + part * 60):
        assert within(2.0, partial(judge, Comparison(("5",), answer)))


@pytest.mark.parametrize("verifier", [Numeric(), MultipleChoice(), ExactMatch(r"Answer:\s*(.+)")])
def test_other_verifiers_take_no_time_for_them(verifier):
    started = time.process_time()
    texts = nasty(seed=1, count=200)
    scores = verifier.score([f"Answer: {text}" for text in texts], [prompt_of("C")] * 200)
    assert len(scores) == 200
    assert time.process_time() - started < 10


@pytest.mark.parametrize(
    "text",
    ["|x" * 60, "|x|" * 30, "x^" * 60 + "2", r"\lvert x" * 60, "x=" * 60, "C_" * 60, r"\{" * 60],
)
def test_more_bars_and_powers_than_the_parser_bears_are_parse_errors(text):
    assert not is_sound(text)
    assert is_sound(r"|x|+|y|+|z| = x_1^2+y_1^2+z^2+x^{2^2} = \{\{x_{a_1}\}\}")
