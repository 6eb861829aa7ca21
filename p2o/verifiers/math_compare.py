"""What is asked of a comparison of mathematical answers, and what comes of it."""

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """What came of a comparison."""

    EQUAL = "equal"
    UNEQUAL = "unequal"
    BAD_ANSWER = "the answer cannot be parsed"
    SLOW_ANSWER = "the answer cannot be compared before the deadline"
    BAD_GOLD = "the gold answer cannot be parsed"


@dataclass(frozen=True)
class Comparison:
    """An answer and what it is compared with, as they are written.

    Attributes:
        golds: Right answers; one of them is enough.
        answer: The one that was given; None asks whether one of the others can be read.
        tolerance: Absolute error of a number that is still right.
        asked: Words of the question, in the singular, that may stand behind a number.
    """

    golds: tuple[str, ...]
    answer: str | None
    tolerance: float | None = None
    asked: frozenset[str] = frozenset()
