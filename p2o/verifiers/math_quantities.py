"""Single values with their units and percent signs."""

import re
from fractions import Fraction

from p2o.verifiers.math_algebra import are_equal, read
from p2o.verifiers.math_unit_table import measure
from p2o.verifiers.math_units import Quantity, ratio_of_units, read_quantity
from p2o.verifiers.plain_number import is_near, read_plain

BASE = re.compile(r"(\d[0-9A-Z]*)\s?_\s?\{?\s?(\d\d?)\s?\}?")
"""A numeral with its base."""
TOUCHING = re.compile(r"(-?\d+(?:\.\d+)?)([mgshlLJWNVKA])")
"""A number with a unit that could be a variable, if the gold answer had none."""
LETTER = re.compile(r"(?<![a-zA-Z\\])[a-zA-Z]")


def quantities_agree(
    gold: str, answer: str, tolerance: float | None, asked: frozenset[str] = frozenset()
) -> bool:
    """Whether two values are equal in their units; a unit on one side alone is the other's too.

    `asked` are the words of the question that may stand behind the answer.
    """
    known = read_quantity(gold)
    given = read_quantity(answer, letters=not LETTER.search(known.core))
    # The m of 3 m is a unit where the answer has no letters that could be variables.
    measured = read_quantity(gold, letters=True)
    if read_plain(measured.core) is not None and not LETTER.search(given.core):
        known, given = measured, read_quantity(answer, letters=True)
    touching = TOUCHING.fullmatch(answer)
    if touching and known.words and measure(known.words) is not None:
        given = Quantity(touching[1], words=(touching[2],))
    known, given = _in_radians(known, given), _in_radians(given, known)
    (known, gold_percent), (given, percent) = _percent(known), _percent(given)
    ratio = ratio_of_units(known.words, given.words, asked)
    if ratio is None:
        return False
    one, other = known.core, given.core
    if BASE.fullmatch(one) or BASE.fullmatch(other):
        return known.words == given.words and _numerals_equal(one, other)
    factor = ratio * given.scale / known.scale
    if gold_percent == percent:
        return _equal(one, other, factor, tolerance)
    # 50% is a half, and also the answer to "how many percent".
    if gold_percent:
        return _equal(one, other, factor, tolerance) or _equal(one, other, factor * 100, tolerance)
    return _equal(one, other, factor / 100, tolerance) or (
        not _is_fraction(one) and _equal(one, other, factor, tolerance)
    )


def _in_radians(angle: Quantity, other: Quantity) -> Quantity:
    r"""An angle in degrees as one in radians, where the other is a multiple of ``\pi``."""
    said = not other.words or set(other.words) <= {"radian", "radians", "rad"}
    turned = r"\pi" in other.core and said and r"\pi" not in angle.core
    if not turned or angle.words != ("degree",):
        return angle
    return Quantity(rf"\frac{{{angle.core}}}{{180}}\pi", words=other.words)


def _percent(quantity: Quantity) -> tuple[Quantity, bool]:
    words = tuple(word for word in quantity.words if word != "percent")
    return Quantity(quantity.core, quantity.scale, words), words != quantity.words


def _is_fraction(text: str) -> bool:
    """Whether a number is below 1, so that it cannot be meant in percent without saying so."""
    number = read_plain(text)
    return number is not None and abs(number) < 1


def _equal(gold: str, answer: str, factor: Fraction, tolerance: float | None) -> bool:
    """Whether an answer times a factor is the gold answer."""
    number, given = read_plain(gold), read_plain(answer)
    if number is not None and given is not None:
        return is_near(number, given * factor, tolerance, "." in gold + answer)
    if factor != 1:
        answer = rf"({answer})\cdot \frac{{{factor.numerator}}}{{{factor.denominator}}}"
    left, right = read(gold), read(answer)
    return left is not None and right is not None and are_equal(left, right, tolerance)


def _numerals_equal(left: str, right: str) -> bool:
    """Whether numerals are the same, and so is the base where the second names one.

    One that names ten is the same as without.
    """
    (one, base), (other, given) = (
        (match[1], match[2]) if match else (text, None)
        for text, match in ((left, BASE.fullmatch(left)), (right, BASE.fullmatch(right)))
    )
    alike = base == given or given is None or {base, given} == {None, "10"}
    return one == other and alike
