"""Greedy set cover (P²O, Algorithm 2, first half)."""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet


def greedy_cover(solved: Sequence[AbstractSet[str]]) -> list[int]:
    """Choose templates until no other solves a sample that the chosen ones leave unsolved.

    Each step takes the template that solves most uncovered samples, the first of equals.

    Args:
        solved: For each template the ids of the samples it solves.

    Returns:
        Indices into `solved`, in the order taken.
    """
    uncovered = set().union(*solved)
    chosen: list[int] = []
    while uncovered:
        best = max(range(len(solved)), key=lambda index: len(uncovered & solved[index]))
        chosen.append(best)
        uncovered -= solved[best]
    return chosen
