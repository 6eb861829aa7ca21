"""Numeric match: the number on the answer line against the gold number."""

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
    """Compares the first number after the answer mark with the gold number.

    Currency signs in front, thousands separators, fractions, units and words behind are understood.
    A percent sign is a unit: 50% equals 50, not 0.5.

    Args:
        pattern: Regular expression whose first group holds the answer; the last match counts.
        absolute_tolerance: Difference that still counts as equal.
        relative_tolerance: The same, as a share of the larger number.

    Raises:
        UserError: The pattern is no regular expression, or has no group.
    """

    def __init__(
        self,
        pattern: str = r"Answer:\s*(.+)",
        absolute_tolerance: float = 1e-6,
        relative_tolerance: float = 0.0,
    ) -> None:
        self.pattern = compile_pattern(pattern)
        self.absolute_tolerance, self.relative_tolerance = absolute_tolerance, relative_tolerance

    def score(self, responses: Sequence[str], prompts: Sequence[Prompt]) -> list[Score]:
        """See `Verifier.score`.

        Raises:
            UserError: A gold answer has no number.
        """
        return [self._score(text, prompt) for text, prompt in zip(responses, prompts, strict=True)]

    def _score(self, response: str, prompt: Prompt) -> Score:
        gold = read_number(prompt.gold)
        if gold is None:
            raise UserError(
                f"verifier: the gold answer of prompt {prompt.id} has no number: {prompt.gold!r}; "
                "use verifier=exact or verifier=boxed_math, or leave the row out"
            )
        answer = last_match(self.pattern, response)
        if answer is None:
            return Score(0.0, Status.NO_ANSWER)
        number = read_number(answer)
        if number is None:
            return Score(0.0, Status.PARSE_ERROR, answer.strip()[:LONGEST], "no number in it")
        larger = max(abs(number), abs(gold))
        tolerance = max(self.absolute_tolerance, Fraction(self.relative_tolerance) * larger)
        equal = abs(number - gold) <= tolerance
        return Score(float(equal), Status.OK, answer.strip()[:LONGEST])


def read_number(text: str) -> Fraction | None:
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
    return -value if match["sign"] == "-" else value


def _exact(text: str) -> Fraction | None:
    number = BOUNDED.create_decimal(text.replace(",", ""))
    return Fraction(number) if number.is_finite() else None
