r"""Numbers that need no algebra, and when two numbers count as one."""

import re
from fractions import Fraction

PLAIN = re.compile(
    r"""
    (?P<sign>[-+]?)\s?
    (?:
        (?:(?P<whole>\d+)(?=\s?\\|\s\d+\s?/)\s?)?                      # the 1 of 1 3/4
        (?:\\[dtc]?frac\s?(?:\{\s?(?P<minus>-?)\s?(?P<top>\d+)\s?\}|(?P<top_digit>\d))
                       \s?(?:\{\s?(?P<bottom>\d+)\s?\}|(?P<bottom_digit>\d))
          | (?P<above>\d+)\s?/\s?(?P<below>\d+))
      | (?P<decimal>\d+(?:\.\d*)?|\.\d+)
        (?:\s?(?:\\times|\\cdot|\*)\s?10\s?\^\s?(?:\{\s?(?P<power>[-+]?\d{1,3})\s?\}|(?P<power_digit>\d)))?
    )
    """,
    re.VERBOSE,
)


def read_plain(text: str) -> Fraction | None:
    r"""A cleaned answer that is nothing but a number.

    Integers, decimals, fractions and mixed fractions of integers, and ``1.5 \times 10^{3}``.

    Args:
        text: As `p2o.verifiers.math_text.clean` returns it.
    """
    match = PLAIN.fullmatch(text.strip())
    if match is None:
        return None
    part = match.groupdict()
    if part["decimal"]:
        value = Fraction(part["decimal"]) * Fraction(10) ** int(
            part["power"] or part["power_digit"] or 0
        )
    else:
        below = int(part["bottom"] or part["bottom_digit"] or part["below"])
        if below == 0 or (part["minus"] and part["whole"]):
            return None
        value = Fraction(int(part["top"] or part["top_digit"] or part["above"]), below)
        value = int(part["whole"] or 0) + (-value if part["minus"] else value)
    return -value if part["sign"] == "-" else value


def is_near(gold: Fraction, answer: Fraction, tolerance: float | None, decimal: bool) -> bool:
    """Whether a number counts as another one.

    Args:
        gold: The right one.
        answer: The one that was given.
        tolerance: Absolute error that is still right; None when the problem names none.
        decimal: Whether one of them is a decimal, which may be rounded: to six digits behind the
            point, and small ones to five digits that count. An integer is never rounded to.
    """
    error = abs(gold - answer)
    if tolerance is not None:
        return error <= Fraction(str(tolerance))
    if not decimal or gold.denominator == 1:
        return error == 0
    return error <= min(Fraction(1, 10**6), abs(gold) / 10**5)


def is_rounding(value: Fraction, rounded: Fraction, digits: int) -> bool:
    """Whether a number is the other one rounded or cut off, and near it by one part in a hundred.

    Args:
        value: The number, as exactly as it is known.
        rounded: What stands for it.
        digits: How many digits `rounded` has behind the point.
    """
    error = abs(value - rounded)
    last = Fraction(1, 10**digits) if digits else Fraction(1, 2)
    return error <= last and error * 100 <= abs(value)
