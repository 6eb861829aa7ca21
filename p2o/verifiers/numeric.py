"""Numeric match: the number on the answer line against a gold number."""

import math
from collections.abc import Sequence
from fractions import Fraction

from p2o.constraints import BelowOne
from p2o.errors import UserError
from p2o.prompt import Prompt
from p2o.verifiers.base import HIGHEST, Score, Status
from p2o.verifiers.number_spelling import LONGEST
from p2o.verifiers.pattern import AnswerPattern, failed
from p2o.verifiers.plain_number import is_near
from p2o.verifiers.plain_text import to_plain
from p2o.verifiers.read_number import read_number
from p2o.verifiers.worker_pool import Failure


class Numeric:
    """Compares the number after the answer mark with the gold numbers, as `read_number` reads them.

    Currency signs, thousands separators, fractions, scales such as "million", units and words
    around a number are understood. A gold answer that has no number is compared as text.

    Args:
        pattern: Regular expression whose first group holds the answer; the last match counts.
        absolute_tolerance: Difference that still counts as equal. A prompt's own,
            ``prompt.meta["tolerance"]``, takes its place. None takes a gold number that is no
            integer to six digits behind the point, see `is_near`, and an integer exactly.
        relative_tolerance: The same, as a share of the larger number.
        percent_as_hundredth: Whether 50% equals 0.5; else the sign is a unit and 50% equals 50.
        seconds: Deadline of one search for the pattern.

    Raises:
        UserError: The pattern is no regular expression or has no group, a tolerance is negative, or
            `seconds` is not positive.
    """

    highest = HIGHEST

    def __init__(
        self,
        pattern: str = r"Answer\**\s*[:：]\s*(.+)",
        absolute_tolerance: float | None = None,
        relative_tolerance: BelowOne = 0.0,
        percent_as_hundredth: bool = False,
        seconds: float = 1.0,
    ) -> None:
        self.pattern = AnswerPattern(pattern, seconds)
        for name, value in (
            ("absolute_tolerance", absolute_tolerance),
            ("relative_tolerance", relative_tolerance),
        ):
            if value is not None and not 0 <= value < math.inf:
                raise UserError(f"{name}={value}: give 0 or a positive number")
        self.absolute_tolerance, self.relative_tolerance = absolute_tolerance, relative_tolerance
        self.percent_as_hundredth = percent_as_hundredth

    def score(self, responses: Sequence[str], prompts: Sequence[Prompt]) -> list[Score]:
        """See `Verifier.score`."""
        answers = self.pattern.find(responses)
        return [
            self._score(answer, prompt) for answer, prompt in zip(answers, prompts, strict=True)
        ]

    def check_gold(self, prompts: Sequence[Prompt]) -> list[str | None]:
        """See `GoldChecker.check_gold`: one of the gold answers must have a number."""
        return [
            None
            if self._golds(prompt)
            else f"the gold answer has no number: {prompt.gold[:80]!r}; use the exact or the math "
            "verifier, or leave the row out"
            for prompt in prompts
        ]

    def _score(self, answer: str | Failure | None, prompt: Prompt) -> Score:
        if isinstance(answer, Failure):
            return failed(answer)
        golds = self._golds(prompt)
        if answer is None:
            if not golds:
                return _useless(prompt)
            return Score(0.0, Status.NO_ANSWER, detail="nothing matches the pattern")
        shown = answer.strip()[:LONGEST]
        text = _fold(answer)
        if text and text in map(_fold, prompt.golds):
            return Score(1.0, Status.OK, shown)
        if not golds:
            return _useless(prompt)
        number = read_number(answer, self.percent_as_hundredth)
        if number is None:
            return Score(0.0, Status.PARSE_ERROR, shown, "not one number")
        tolerance = prompt.meta.get("tolerance", self.absolute_tolerance)
        equal = any(self._is_near(gold, number, tolerance) for gold in golds)
        return Score(float(equal), Status.OK, shown)

    def _golds(self, prompt: Prompt) -> list[Fraction]:
        numbers = (read_number(gold, self.percent_as_hundredth) for gold in prompt.golds)
        return [number for number in numbers if number is not None]

    def _is_near(self, gold: Fraction, number: Fraction, tolerance: float | None) -> bool:
        relative = Fraction(str(self.relative_tolerance)) * max(abs(number), abs(gold))
        return abs(number - gold) <= relative or is_near(gold, number, tolerance, decimal=True)


def _useless(prompt: Prompt) -> Score:
    return Score(0.0, Status.ERROR, detail=f"no number in gold {prompt.gold[:80]!r}")


def _fold(text: str) -> str:
    return " ".join(to_plain(text[:LONGEST]).split()).strip(" *$").rstrip(" .").casefold()
