"""Procedural problems of the embedded world: three families of digit lists, two to eight digits."""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import accumulate

SHORT = range(2, 4)
"""List lengths that the shipped policy solves at once."""
LONG = range(5, 9)
"""List lengths that the shipped policy solves only step by step."""
OPENING = "Let us go slowly."
"""How the shipped policy begins when it works step by step."""


def _plain(index: int, digit: int) -> int:
    return digit


def _alternating(index: int, digit: int) -> int:
    return -digit if index % 2 else digit


def _doubling(index: int, digit: int) -> int:
    return 2 * digit if index % 2 else digit


FAMILIES: dict[str, tuple[str, Callable[[int, int], int]]] = {
    "sum": ("Add the digits:", _plain),
    "alternating": ("Add and subtract the digits in turn:", _alternating),
    "doubling": ("Add the digits with every second one doubled:", _doubling),
}
"""Family name to (question, what the digit at an index adds to the total)."""


@dataclass(frozen=True)
class DigitProblem:
    """One digit-list problem.

    Attributes:
        family: A key of `FAMILIES`.
        digits: The list, each 0 to 9.
    """

    family: str
    digits: tuple[int, ...]

    @property
    def question(self) -> str:
        """The text a user would ask."""
        return f"{FAMILIES[self.family][0]} {' '.join(map(str, self.digits))}"

    @property
    def totals(self) -> list[int]:
        """The running total after each digit."""
        term = FAMILIES[self.family][1]
        return list(accumulate(term(i, digit) for i, digit in enumerate(self.digits)))

    @property
    def answer(self) -> int:
        """The last running total."""
        return self.totals[-1]

    @property
    def solution(self) -> str:
        """What the shipped policy writes when it works step by step, up to the last total."""
        return " ".join([OPENING, *map(str, self.totals[:-1])])


def sample_problem(generator: random.Random, lengths: range) -> DigitProblem:
    """Draw a problem of a random family whose list length is one of `lengths`."""
    family = generator.choice(list(FAMILIES))
    length = generator.choice(lengths)
    return DigitProblem(family, tuple(generator.randrange(10) for _ in range(length)))


def distinct_problems(seed: int, lengths: range) -> Iterator[DigitProblem]:
    """Yield problems without repetition, the same ones for the same seed."""
    generator, seen = random.Random(f"problems-{seed}"), set()
    while True:
        problem = sample_problem(generator, lengths)
        if problem not in seen:
            seen.add(problem)
            yield problem
