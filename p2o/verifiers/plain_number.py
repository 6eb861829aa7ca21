r"""Numbers that need no algebra, and when two numbers count as one."""

import re
from fractions import Fraction

PLAIN = re.compile(
    r"""
    (?P<sign>[-+]?)\s*
    (?:
        (?:(?P<whole>\d+)(?=\s*\\|\s+\d+\s*/)\s*)?                      # the 1 of 1 3/4
        (?:\\[dtc]?frac\s*(?:\{\s*(?P<minus>-?)\s*(?P<top>\d+)\s*\}|\s*(?P<top_digit>\d))
                       \s*(?:\{\s*(?P<bottom>\d+)\s*\}|(?P<bottom_digit>\d))
          | (?P<above>\d+)\s*/\s*(?P<below>\d+))
      | (?P<decimal>\d+(?:\.\d*)?|\.\d+)
        (?:\s*(?:\\times|\\cdot|\*)\s*10\s*\^\s*(?:\{\s*(?P<power>[-+]?\d{1,3})\s*\}|(?P<power_digit>\d)))?
    )
    """,
    re.VERBOSE,
)
BARE_UNITS = re.compile(
    r"""(?<=[\d}]) (?:\s*(?:per\s|/)?\s*(?:square\s|cubic\s|sq\.?\s)?
        (?:(?:(?:kilo|centi|milli)?(?:met(?:er|re)|gram|lit(?:er|re))
            |[kcdm]m|[km]g|m[lL]|[kMG](?:Hz|J|W|N|Pa|V|eV)|Hz|Pa|eV|mol|mph
            |inch|in|foot|feet|ft|yard|mile|pound|lb|ounce|oz|ton|gallon|sec(?:ond)?|min(?:ute)?
            |h(?:ou)?r|day|week|month|year|dollar|cent|USD|euro|degree|radian|unit)(?:e?s)?
          |(?<=[\s/])[mgshlLJWNVKA])
        (?:\s*\^\s*\{?[23]\}?)?(?![a-zA-Z]) )+ $""",
    re.VERBOSE,
)
"""Units that are not in text type. They could be variables, so only the answer's are left out."""


def read_plain(text: str, units: bool = False) -> Fraction | None:
    r"""A cleaned answer that is nothing but a number.

    Integers, decimals, fractions and mixed fractions of integers, and ``1.5 \times 10^{3}``.

    Args:
        text: As `p2o.verifiers.math_text.clean` returns it.
        units: Whether a unit may stand behind that is not in text type.
    """
    match = PLAIN.fullmatch((BARE_UNITS.sub("", text) if units else text).strip())
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
            point, and small ones to five digits that count.
    """
    error = abs(gold - answer)
    if tolerance is not None:
        return error <= Fraction(str(tolerance))
    if not decimal:
        return error == 0
    return error <= min(Fraction(1, 10**6), abs(gold) / 10**5)
