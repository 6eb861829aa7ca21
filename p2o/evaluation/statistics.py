"""What a few samples say of a policy."""

import math
from collections.abc import Callable, Sequence

import torch

RESAMPLES = 10_000


def success_interval(right: int, samples: int, level: float = 0.95) -> tuple[float, float]:
    """Exact interval of a success rate, by Clopper and Pearson (https://doi.org/10.2307/2331986).

    It has the true rate inside in at least `level` of cases, however few samples there are.

    Args:
        right: Successes.
        samples: Trials, at least 1; without any, nothing is known.
        level: At least so often the true rate is inside.

    Example::

        >>> [round(end, 3) for end in success_interval(0, 12)]
        [0.0, 0.265]
        >>> [round(end, 4) for end in success_interval(0, 5000)]
        [0.0, 0.0007]
    """
    if not samples:
        return 0.0, 1.0
    tail = (1 - level) / 2

    def at_least(count: int, rate: float) -> float:
        # By logarithms: a binomial coefficient of a thousand is more than a float can be.
        ways = math.lgamma(samples + 1)
        return sum(
            math.exp(
                ways
                - math.lgamma(k + 1)
                - math.lgamma(samples - k + 1)
                + k * math.log(rate)
                + (samples - k) * math.log1p(-rate)
            )
            for k in range(count, samples + 1)
        )

    low = 0.0 if right == 0 else _root(lambda rate: at_least(right, rate) - tail)
    high = 1.0 if right == samples else _root(lambda rate: at_least(right + 1, rate) - 1 + tail)
    return low, high


def _root(rising: Callable[[float], float]) -> float:
    """Where a rising function on [0, 1] is 0, by bisection."""
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if rising(middle) < 0 else (low, middle)
    return (low + high) / 2


def bootstrap_interval(
    values: Sequence[float], seed: int = 0, level: float = 0.95
) -> tuple[float, float]:
    """Percentile bootstrap interval of the mean, with questions as the units that are drawn.

    Samples of one question are not independent, so each question's mean is one value.

    Args:
        values: A mean for each question.
        seed: Of the draws.
        level: Share of resamples inside.
    """
    data = torch.tensor(values, dtype=torch.float64)
    generator = torch.Generator().manual_seed(seed)
    means = torch.empty(RESAMPLES, dtype=torch.float64)
    # In parts, as thousands of questions times all resamples would fill the memory.
    for part in means.split(500):
        drawn = torch.randint(len(data), (len(part), len(data)), generator=generator)
        part.copy_(data[drawn].mean(dim=1))
    tail = (1 - level) / 2
    low, high = means.quantile(torch.tensor([tail, 1 - tail], dtype=torch.float64)).tolist()
    return low, high


def accuracy_interval(values: Sequence[float], level: float = 0.95) -> tuple[float, float]:
    """Interval of the mean accuracy of questions like these.

    It is `bootstrap_interval`. Where all questions are right, or all are wrong, every resample is
    like the sample, so that it has no width; then it is `success_interval`.

    Args:
        values: Of each question, the share of its samples that are right.
        level: See there.
    """
    if set(values) not in ({0.0}, {1.0}):
        return bootstrap_interval(values, level=level)
    low, _ = success_interval(len(values), len(values), level)
    return (low, 1.0) if values[0] else (0.0, 1 - low)
