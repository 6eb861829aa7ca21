r"""Equality of mathematical answers, part by part; imported in worker processes only."""

import re
from functools import lru_cache

from sympy.polys.polyerrors import BasePolynomialError

from p2o.verifiers.cjk_numbers import NUMERAL, chinese_number
from p2o.verifiers.math_chains import chains_agree, without_name
from p2o.verifiers.math_compare import Comparison, Verdict
from p2o.verifiers.math_forms import FORMS
from p2o.verifiers.math_lists import lists_agree, ratios_agree
from p2o.verifiers.math_quantities import quantities_agree
from p2o.verifiers.math_regions import regions_agree
from p2o.verifiers.math_size import is_small
from p2o.verifiers.math_split import RELATION, elements, outside, split
from p2o.verifiers.math_text import clean, is_sound, readings, squeeze
from p2o.verifiers.math_units import COUNTED
from p2o.verifiers.math_words import fold, is_conditional, is_words, spelled_number, unwrap

RESTATED = re.compile(
    r",?\s?(?:\\(?:text|mathrm)\s?\{\s?,?\s?)?(?<![\w\\])(?:so|i\.e\.|that is|hence|therefore|thus)"
    r"(?!\w)\s?,?\s?\}?|\\(?:implies|iff|Rightarrow|Leftrightarrow|therefore)(?![a-zA-Z])"
)
COLON = re.compile(":")
FAILURES = (
    *(ArithmeticError, ValueError, TypeError, AttributeError, NotImplementedError),
    *(BasePolynomialError, RecursionError, MemoryError),
)
"""What sympy raises on what it cannot compute, compare or take apart; nobody's answer is that."""
CHINESE_FRACTION = re.compile(rf"({NUMERAL.pattern})分之({NUMERAL.pattern})")
Words = frozenset[str]


def judge(comparison: Comparison) -> Verdict:
    """Compare an answer with gold answers, first as text."""
    golds, answer = comparison.golds, comparison.answer
    if answer is None:
        return Verdict.EQUAL if any(map(is_readable, golds)) else Verdict.BAD_GOLD
    text = squeeze(answer)
    if any(text and text == squeeze(gold) for gold in golds):
        return Verdict.EQUAL
    cleaned = clean(answer) if is_sound(answer) else ""
    if not cleaned or not is_small(cleaned):
        return Verdict.BAD_ANSWER
    leeway = comparison.tolerance, comparison.asked
    known = filter(is_small, map(clean, golds))
    if any(_is_equal(gold, cleaned, *leeway) for gold in known):
        return Verdict.EQUAL
    if not any(map(is_readable, golds)):
        return Verdict.BAD_GOLD
    return Verdict.UNEQUAL if is_readable(answer) else Verdict.BAD_ANSWER


@lru_cache(maxsize=2000)
def is_readable(text: str) -> bool:
    """Whether an answer can be read as more than text, and so equals itself."""
    cleaned = clean(text) if is_sound(text) else ""
    stated = is_words(cleaned) or not is_conditional(cleaned)
    return bool(cleaned) and stated and is_small(cleaned) and _is_equal(cleaned, cleaned)


def _is_equal(
    gold: str, answer: str, tolerance: float | None = None, asked: Words = frozenset()
) -> bool:
    try:
        return equal(gold, answer, tolerance, asked)
    except FAILURES:
        return False


def equal(
    gold: str, answer: str, tolerance: float | None = None, asked: Words = frozenset()
) -> bool:
    """Whether two cleaned answers are equal; `asked` as in `Comparison`."""
    for agree in FORMS:
        known = agree(gold, answer)
        if known is not None:
            return known
    gold, answer = (_with_digits(_said_once(text, tolerance)) for text in (gold, answer))
    known = regions_agree(gold, answer, tolerance)
    if known is not None:
        return known
    if is_words(gold) or is_words(answer):
        gold, answer = (without_name(text) for text in (gold, answer))
        return fold(gold) == fold(answer) or _same_words(gold, answer)
    return any(
        _values_equal(one, other, tolerance, asked)
        for one in readings(gold)
        for other in readings(answer)
    )


def _values_equal(gold: str, answer: str, tolerance: float | None, asked: Words) -> bool:
    """Whether two answers that are no words are equal: by their parts, or as one value."""

    def same(one: str, other: str) -> bool:
        return equal(one, other, tolerance, asked)

    for agree in (lists_agree, chains_agree, ratios_agree):
        known = agree(gold, answer, same)
        if known is not None:
            return known
    return quantities_agree(gold, answer, tolerance, asked)


def _said_once(text: str, tolerance: float | None) -> str:
    """The first of two statements that say the same: "x < 1, so (-1, 1)"."""
    for pattern in (RESTATED, COLON):
        parts = split(text, pattern)
        stated = pattern is RESTATED or outside(parts[0], RELATION) or is_words(parts[0])
        several = len(parts) > 1 and stated and all(parts)
        if several and all(equal(parts[0], part, tolerance) for part in parts[1:]):
            return parts[0]
    return text


def _with_digits(text: str) -> str:
    """A number in words as digits."""
    fraction = CHINESE_FRACTION.fullmatch(unwrap(text))
    parts = [chinese_number(part) for part in fraction.groups()] if fraction else []
    if len(parts) == 2 and parts[0] and parts[1] is not None:
        percent = parts[0] == 100
        return rf"{parts[1]} \text{{percent}}" if percent else rf"\frac{{{parts[1]}}}{{{parts[0]}}}"
    numeral = NUMERAL.match(text)
    known = chinese_number(numeral[0]) if numeral else None
    if numeral and known is not None and text[numeral.end() :] in COUNTED | {""}:
        return f"{known}{text[numeral.end() :]}"
    number = spelled_number(text) if re.search("[a-zA-Z]", text) else None
    if number is None or not is_words(text) and re.match(r"\d", text):
        return text
    whole = number.denominator == 1
    return str(number) if whole else rf"\frac{{{number.numerator}}}{{{number.denominator}}}"


def _same_words(gold: str, answer: str) -> bool:
    """Whether the same words are listed, in any order."""
    known, given = (sorted(map(fold, elements(unwrap(text)))) for text in (gold, answer))
    return len(known) > 1 and known == given


# The first comparisons load what sympy loads late. A worker's start has no deadline.
for _gold, _answer in (
    (r"x \le -1 \text{ or } x > 2", r"(-\infty,-1] \cup (2,\infty)"),
    (r"\{x \mid |x| < 2\}", "-2 < x < 2"),
    (r"x = \sin 30^\circ \approx 0.5", r"\frac{1}{2} \text{ m}"),
):
    judge(Comparison((_gold,), _answer))
