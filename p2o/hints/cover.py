"""Greedy set cover (P²O, Algorithm 2, first half)."""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet


def greedy_cover(
    solved: Sequence[AbstractSet[str]], weights: Sequence[float] | None = None
) -> list[int]:
    """Choose templates until no other solves a sample that the chosen ones leave unsolved.

    Each step takes the template that solves most uncovered samples, the first of equals.

    Args:
        solved: For each template the ids of the samples it solves.
        weights: What a sample that it solves counts, for each template, above 0; None for 1.

    Returns:
        Indices into `solved`, in the order taken.
    """
    counts = [1.0] * len(solved) if weights is None else weights
    uncovered = set().union(*solved)
    chosen: list[int] = []
    while uncovered:
        gains = [
            len(uncovered & samples) * count for samples, count in zip(solved, counts, strict=True)
        ]
        best = max(range(len(solved)), key=gains.__getitem__)
        chosen.append(best)
        uncovered -= solved[best]
    return chosen
