"""What several samples of a question say of more attempts at it."""

import math
from collections.abc import Sequence


def pass_at_k(samples: int, right: int, k: int) -> float:
    """Probability that one of `k` samples is right, estimated without bias from more of them.

    ``1 - C(n - c, k) / C(n, k)``, https://arxiv.org/abs/2107.03374, equation 1.

    Args:
        samples: n, drawn for a question.
        right: c, of these.
        k: At most `samples`.

    Raises:
        ValueError: There are fewer samples than `k`.
    """
    if not 1 <= k <= samples:
        raise ValueError(f"pass@{k} cannot be estimated from {samples} samples")
    return 1.0 - math.comb(samples - right, k) / math.comb(samples, k)


def mean_pass_at(samples: int, right: Sequence[int]) -> dict[int, float]:
    """Mean pass@k over questions for each power of two from 2 to the number of samples.

    >>> mean_pass_at(4, [0, 1])
    {2: 0.25, 4: 0.5}

    Args:
        samples: Drawn for each question.
        right: How many of them are right, for each question.
    """
    return {
        k: sum(pass_at_k(samples, own, k) for own in right) / len(right)
        for k in powers_of_two(samples)
    }


def powers_of_two(most: int) -> list[int]:
    """Those from 2 to a number.

    >>> powers_of_two(9)
    [2, 4, 8]
    """
    return [2**power for power in range(1, most.bit_length())]
