"""Comparisons of mathematical answers, and those that need no algebra."""

import re
from dataclasses import dataclass
from enum import StrEnum

from p2o.verifiers.math_text import clean, fold, has_percent, is_sound, is_words
from p2o.verifiers.plain_number import is_near, read_plain

BASE = re.compile(r"(\d[0-9A-Z]*)\s*_\s*\{?\s*(\d\d?)\s*\}?")
"""A numeral with its base."""
LETTER = re.compile(r"(?<![a-zA-Z\\])[a-zA-Z]")
NAME = re.compile(r"\s*[a-zA-Z]\s*=\s*")


class Verdict(StrEnum):
    """What came of a comparison."""

    EQUAL = "equal"
    UNEQUAL = "unequal"
    BAD_ANSWER = "the answer cannot be parsed"
    BAD_GOLD = "the gold answer cannot be parsed"


@dataclass(frozen=True)
class Comparison:
    """An answer and what it is compared with, cleaned.

    Attributes:
        golds: Right answers; one of them is enough.
        answer: The one that was given; None asks whether one of the others can be read.
        tolerance: Absolute error of a number that is still right.
    """

    golds: tuple[str, ...]
    answer: str | None
    tolerance: float | None = None


def compare_at_once(
    golds: tuple[str, ...], answer: str, tolerance: float | None = None
) -> Verdict | Comparison:
    """A verdict where text and plain numbers are enough, else what is left to compare.

    Args:
        golds: Right answers as they are written.
        answer: An answer, likewise.
        tolerance: See `Comparison`.
    """
    if any(answer.split() == gold.split() for gold in golds):
        return Verdict.EQUAL
    if not is_sound(answer):
        return Verdict.BAD_ANSWER
    left = []
    for gold in golds:
        equal = _equal(gold, answer, tolerance)
        if equal:
            return Verdict.EQUAL
        if equal is None:
            left.append(clean(gold))
    if not left:
        return Verdict.UNEQUAL
    return Comparison(tuple(left), clean(answer), tolerance)


def read_at_once(golds: tuple[str, ...]) -> Verdict | Comparison:
    """`Verdict.EQUAL` when one of the gold answers can be read without algebra."""
    cleaned = tuple(map(clean, golds))
    if any(is_words(gold) or read_plain(gold) is not None for gold in cleaned):
        return Verdict.EQUAL
    return Comparison(cleaned, None)


def _equal(gold: str, answer: str, tolerance: float | None) -> bool | None:
    """Whether two answers are equal; None when that takes algebra."""
    left, right = clean(gold), clean(answer)
    if ("=" in left) != ("=" in right):
        left, right = (NAME.sub("", text, count=1) for text in (left, right))
    if is_words(left) or is_words(right):
        return fold(left) == fold(right)
    bases = BASE.fullmatch(left), BASE.fullmatch(right)
    if any(bases):
        return _equal_numerals(left, right)
    number, given = read_plain(left), read_plain(right, units=not LETTER.search(left))
    if number is None or given is None:
        return None
    decimal = "." in left + right
    equal = is_near(number, given, tolerance, decimal)
    if has_percent(gold) == has_percent(answer):
        return equal
    # 50% is a half, and also the answer to "how many percent".
    number, given = (number / 100, given) if has_percent(gold) else (number, given / 100)
    return equal or is_near(number, given, tolerance, decimal)


def _equal_numerals(left: str, right: str) -> bool:
    """Whether numerals are the same, and so are their bases where both are named."""
    (one, base), (other, given) = (
        (match[1], match[2]) if match else (text, None)
        for text, match in ((left, BASE.fullmatch(left)), (right, BASE.fullmatch(right)))
    )
    return one == other and (base == given or base is None or given is None)
