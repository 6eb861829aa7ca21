"""What a few numbers allow to be said: intervals, paired differences, curves over seeds."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

LEVEL = 0.95
RESAMPLES = 10_000
FEWEST_SEEDS = 3
"""Seeds from which an interval over seeds is given at all."""
EXACT = 14
"""Pairs up to which all signs are tried; above that signs are drawn."""

Curve = tuple[Sequence[float], Sequence[float]]
"""What was spent, in rising order, and the accuracy at that point."""


def wilson(right: float, number: int, level: float = LEVEL) -> tuple[float, float]:
    """Wilson's score interval of a share.

    Args:
        right: How many of them, 0 to `number`.
        number: Of independent trials, at least 1.
        level: How often such an interval holds the true share.
    """
    z = NormalDist().inv_cdf((1 + level) / 2)
    share = right / number
    middle = share + z * z / (2 * number)
    half = z * np.sqrt(share * (1 - share) / number + z * z / (4 * number * number))
    scale = 1 + z * z / number
    return max(0.0, float((middle - half) / scale)), min(1.0, float((middle + half) / scale))


def bootstrap_mean(
    values: Sequence[float], seed: int = 0, level: float = LEVEL
) -> tuple[float, float]:
    """Percentile bootstrap interval of the mean of independent values.

    Args:
        values: One for each seed, or each pair of seeds.
        seed: Of the draws.
        level: Share of resamples inside.
    """
    low, high = bootstrap_means(np.asarray(values, dtype=float)[:, None], seed, level)
    return float(low[0]), float(high[0])


def bootstrap_means(
    values: NDArray[np.float64], seed: int = 0, level: float = LEVEL
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """`bootstrap_mean` of each column of values `[N, G]`: the lower and the upper ends, `[G]`."""
    drawn = np.random.default_rng(seed).integers(len(values), size=(RESAMPLES, len(values)))
    # How often each row was drawn, so that no `[R, N, G]` is held.
    counts = np.stack([(drawn == row).sum(axis=1) for row in range(len(values))], axis=1)
    means = counts @ values / len(values)
    tail = (1 - level) / 2
    low, high = np.quantile(means, [tail, 1 - tail], axis=0)
    return low, high


def sign_flip(differences: Sequence[float], seed: int = 0) -> float:
    """Two-sided p-value of a paired permutation test: the mean under all changes of signs.

    With N pairs it is never below ``2 ** (1 - N)``.

    Args:
        differences: One for each pair, at least one.
        seed: Of the draws, for more than `EXACT` pairs.
    """
    values = np.asarray(differences, dtype=float)
    if len(values) <= EXACT:
        signs = np.array(list(product((1.0, -1.0), repeat=len(values))))
        extra = 0
    else:
        signs = np.random.default_rng(seed).choice((1.0, -1.0), size=(RESAMPLES, len(values)))
        extra = 1
    sums = np.abs(signs @ values)
    # Sums of the same numbers in another order may differ in their last digit.
    reached = int((sums >= abs(values.sum()) - 1e-12).sum())
    return (reached + extra) / (len(signs) + extra)


@dataclass(frozen=True)
class Difference:
    """How one arm fares against another, with seeds as pairs.

    Attributes:
        pairs: Seeds that both arms have.
        mean: Of the differences; None without a pair.
        interval: Bootstrap interval of the mean; None for fewer than `FEWEST_SEEDS` pairs.
        chance: p-value of `sign_flip`; None without a pair.
        says: What may be claimed, as a sentence.
    """

    pairs: int
    mean: float | None
    interval: tuple[float, float] | None
    chance: float | None
    says: str


def paired_difference(differences: Sequence[float], level: float = LEVEL) -> Difference:
    """What paired differences allow to be claimed.

    Args:
        differences: One for each seed that both arms have.
        level: Of the interval; the test is at one minus it.
    """
    pairs = len(differences)
    if not pairs:
        return Difference(0, None, None, None, "The arms share no seed, so nothing is paired.")
    mean = float(np.mean(differences))
    interval = bootstrap_mean(differences, level=level) if pairs >= FEWEST_SEEDS else None
    chance, best = sign_flip(differences), 2.0 ** (1 - pairs)
    if best > 1 - level:
        seeds = "1 seed allows" if pairs == 1 else f"{pairs} seeds allow"
        says = (
            f"{seeds} no claim: chance alone puts all differences on one side in "
            f"{100 * best:.0f} % "
            "of such comparisons."
        )
    elif interval is not None and chance <= 1 - level and not interval[0] <= 0 <= interval[1]:
        says = f"The difference is more than chance gives (p = {chance:.3f})."
    else:
        says = f"The difference is within what chance gives (p = {chance:.3f})."
    return Difference(pairs, mean, interval, chance, says)


@dataclass(frozen=True)
class Band:
    """Curves of several seeds as one.

    Attributes:
        spent: In rising order, `[G]`.
        mean: Over curves, `[G]`.
        low: Where the shade around the mean begins, `[G]`; None without one.
        high: Where it ends.
    """

    spent: list[float]
    mean: list[float]
    low: list[float] | None
    high: list[float] | None


def mean_curve(curves: Sequence[Curve], points: int = 60) -> Band:
    """The mean of several curves at equal spending.

    It begins where the last of them does. Between its points a curve is a straight line; one that
    has ended keeps its last value. The shade is the interval of the mean, for `FEWEST_SEEDS` curves
    or more.

    Args:
        curves: At least one, each with at least one point.
        points: G, values of spending at which the mean is taken, for more than one curve.
    """
    if len(curves) == 1:
        x, y = curves[0]
        return Band(list(x), list(y), None, None)
    start = max(x[0] for x, _ in curves)
    grid = np.linspace(start, max(x[-1] for x, _ in curves), points)
    values = np.stack([np.interp(grid, x, y) for x, y in curves])
    mean = values.mean(axis=0)
    if len(curves) < FEWEST_SEEDS:
        return Band(grid.tolist(), mean.tolist(), None, None)
    low, high = bootstrap_means(values)
    return Band(grid.tolist(), mean.tolist(), low.tolist(), high.tolist())
