"""Numeric match: the number on the answer line against a gold number."""

import math
import re
from collections.abc import Sequence
from decimal import Context
from fractions import Fraction

from p2o.data.prompt import Prompt
from p2o.errors import UserError
from p2o.verifiers.base import Score, Status
from p2o.verifiers.exact import compile_pattern, last_match

NUMBER = re.compile(
    r"""
    (?<![\w.])                                  # not the tail of a word or of another number
    (?:(?P<sign>[-+])\s*)?(?:[$€£¥]\s*)?
    (?:(?P<whole>\d+)\s+(?=\d+\s*/\s*\d))?    # the 1 of 1 3/4
    (?P<value>
        \d{1,3}(?:,\d{3})+(?!\d)(?:\.\d+)?      # 1,234.5
      | \d+(?:\.\d*)? | \.\d+                   # 12, 12.5, .5
    )
    (?:
        (?:[eE]|\s*(?:[×x*]|\\times|\\cdot)\s*10\s*\^\s*\{?)
        (?P<exponent>[-+]?\d+)                  # 1e3, 1 x 10^3
    )?
    (?:\s*/\s*(?P<denominator>\d{1,3}(?:,\d{3})+(?!\d)|\d+(?:\.\d+)?))?  # 3/4
    (?P<percent>\s*\\?%|\s+per\s?cent\b)?
    """,
    re.VERBOSE,
)
FRACTION = re.compile(r"\\[dt]?frac\{([^{}]*)\}\{([^{}]*)\}")
MINUS = str.maketrans("\u2212\u2013\ufe63\uff0d", "----")
# Exact, so that long integers that differ in their last digit do; bounded, so that no exponent
# fills the memory: what is beyond is infinite, or 0.
BOUNDED = Context(prec=800, Emax=308, Emin=-308, traps=[])
LONGEST = 400
"""Characters of an answer that are looked at; a longer number is none that a problem asks for."""


class Numeric:
    """Compares the first number after the answer mark with the gold numbers.

    Currency signs in front, thousands separators, fractions, units and words behind are understood.

    Args:
        pattern: Regular expression whose first group holds the answer; the last match counts.
        absolute_tolerance: Difference that still counts as equal. A prompt's own,
            ``prompt.meta["tolerance"]``, takes its place.
        relative_tolerance: The same, as a share of the larger number.
        percent_as_hundredth: Whether 50% equals 0.5; else the sign is a unit and 50% equals 50.

    Raises:
        UserError: The pattern is no regular expression or has no group, or a tolerance is negative.
    """

    def __init__(
        self,
        pattern: str = r"Answer:\s*(.+)",
        absolute_tolerance: float = 1e-6,
        relative_tolerance: float = 0.0,
        percent_as_hundredth: bool = False,
    ) -> None:
        self.pattern = compile_pattern(pattern)
        for name, value in (
            ("absolute_tolerance", absolute_tolerance),
            ("relative_tolerance", relative_tolerance),
        ):
            if not 0 <= value < math.inf:
                raise UserError(f"{name}={value}: give 0 or a positive number")
        self.absolute_tolerance, self.relative_tolerance = absolute_tolerance, relative_tolerance
        self.percent_as_hundredth = percent_as_hundredth

    def score(self, responses: Sequence[str], prompts: Sequence[Prompt]) -> list[Score]:
        """See `Verifier.score`."""
        return [self._score(text, prompt) for text, prompt in zip(responses, prompts, strict=True)]

    def check_gold(self, prompts: Sequence[Prompt]) -> list[str | None]:
        """See `GoldChecker.check_gold`: one of the gold answers must have a number."""
        return [
            None
            if self._golds(prompt)
            else f"the gold answer has no number: {prompt.gold[:80]!r}; use verifier=exact or "
            "verifier=math, or leave the row out"
            for prompt in prompts
        ]

    def _score(self, response: str, prompt: Prompt) -> Score:
        golds = self._golds(prompt)
        if not golds:
            return Score(0.0, Status.ERROR, detail=f"no number in gold {prompt.gold[:80]!r}")
        answer = last_match(self.pattern, response)
        if answer is None:
            return Score(0.0, Status.NO_ANSWER, detail="nothing matches the pattern")
        number = read_number(answer, self.percent_as_hundredth)
        if number is None:
            return Score(0.0, Status.PARSE_ERROR, answer.strip()[:LONGEST], "no number in it")
        tolerance = prompt.meta.get("tolerance", self.absolute_tolerance)
        equal = any(self._is_near(gold, number, tolerance) for gold in golds)
        return Score(float(equal), Status.OK, answer.strip()[:LONGEST])

    def _golds(self, prompt: Prompt) -> list[Fraction]:
        numbers = (read_number(gold, self.percent_as_hundredth) for gold in prompt.golds)
        return [number for number in numbers if number is not None]

    def _is_near(self, gold: Fraction, number: Fraction, tolerance: float) -> bool:
        relative = _decimal(self.relative_tolerance) * max(abs(number), abs(gold))
        return abs(number - gold) <= max(_decimal(tolerance), relative)


def _decimal(number: float) -> Fraction:
    """What was written: 0.1, and not the nearest binary number."""
    return Fraction(str(number))


def read_number(text: str, percent_as_hundredth: bool = False) -> Fraction | None:
    """The first number in a text; None when there is none that is finite.

    Example::

        >>> [str(read_number(text)) for text in ("about $1,234.50 each", "3/4", "none")]
        ['2469/2', '3/4', 'None']
    """
    text = FRACTION.sub(r" \1/\2", text[:LONGEST]).replace("{,}", ",").translate(MINUS)
    match = NUMBER.search(text)
    if match is None:
        return None
    value = _exact(f"{match['value']}e{match['exponent'] or 0}")
    denominator = _exact(match["denominator"] or "1")
    if value is None or not denominator:
        return None
    value = value / denominator + int(match["whole"] or 0)
    if percent_as_hundredth and match["percent"]:
        value /= 100
    return -value if match["sign"] == "-" else value


def _exact(text: str) -> Fraction | None:
    number = BOUNDED.create_decimal(text.replace(",", ""))
    return Fraction(number) if number.is_finite() else None
