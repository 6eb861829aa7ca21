"""What a few samples say of a policy."""

from collections.abc import Sequence

import torch

RESAMPLES = 10_000


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
