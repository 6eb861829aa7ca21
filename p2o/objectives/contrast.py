"""What differs within a group.

Group advantages sum to zero, so whatever all rollouts of a group share gets no net gradient, a
decision in the first tokens included. These numbers tell whether there is something to learn from.
"""

from collections import defaultdict
from collections.abc import Hashable, Sequence
from math import fsum
from statistics import fmean, pstdev


def opening_contrast(advantages: Sequence[float], openings: Sequence[Hashable]) -> float:
    """Share of a group's advantage that does not cancel among rollouts with the same opening.

    The sum over openings of |sum of A|, divided by the sum of |A|.

    Args:
        advantages: One for each rollout of a group.
        openings: How each rollout begins, such as its first token ids.

    Returns:
        From 0, when all rollouts open alike or the group is dead, to 1, when no two with the same
        opening have advantages of opposite sign.
    """
    total = fsum(abs(advantage) for advantage in advantages)
    if total == 0:
        return 0.0
    by_opening = _grouped(advantages, openings)
    return fsum(abs(fsum(values)) for values in by_opening) / total


def reward_spread(rewards: Sequence[float], templates: Sequence[Hashable]) -> float:
    """How much templates differ: population standard deviation of their mean rewards in a group.

    Args:
        rewards: One for each rollout of a group.
        templates: Under which each was rolled out.

    Returns:
        0 when the group has one template or all do equally well.
    """
    return pstdev(fmean(values) for values in _grouped(rewards, templates))


def _grouped(values: Sequence[float], keys: Sequence[Hashable]) -> list[list[float]]:
    groups: defaultdict[Hashable, list[float]] = defaultdict(list)
    for value, key in zip(values, keys, strict=True):
        groups[key].append(value)
    return list(groups.values())
