"""Numeric match: the number on the answer line against the gold number."""

import math
import re
from collections.abc import Sequence

from p2o.data.prompt import Prompt
from p2o.errors import UserError
from p2o.verifiers.base import Score, Status
from p2o.verifiers.exact import compile_pattern, last_match

NUMBER = re.compile(
    r"""
    (?<![\w.])                                  # not the tail of a word or of another number
    (?P<sign>[-+]?)\s*[$€£¥]?\s*
    (?P<value>
        \d{1,3}(?:,\d{3})+(?!\d)(?:\.\d+)?      # 1,234.5
      | \d+(?:\.\d*)? | \.\d+                   # 12, 12.5, .5
    )
    (?:[eE](?P<exponent>[-+]?\d+))?
    (?:\s*/\s*(?P<denominator>\d+(?:\.\d+)?))?  # 3/4
    """,
    re.VERBOSE,
)
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
        equal = math.isclose(
            number, gold, rel_tol=self.relative_tolerance, abs_tol=self.absolute_tolerance
        )
        return Score(float(equal), Status.OK, answer.strip()[:LONGEST])


def read_number(text: str) -> float | None:
    """The first number in a text; None when there is none that is finite."""
    match = NUMBER.search(text[:LONGEST].replace("\u2212", "-"))
    if match is None:
        return None
    # float() reads any length in linear time and gives inf where int() would fill the memory.
    value = float(match["value"].replace(",", "") + "e" + (match["exponent"] or "0"))
    if match["denominator"] is not None:
        denominator = float(match["denominator"])
        value = value / denominator if denominator else math.nan
    value = -value if match["sign"] == "-" else value
    return value if math.isfinite(value) else None
