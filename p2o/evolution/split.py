"""Train and dev parts of the hard set."""

import random
from collections.abc import Sequence


def split_hard_set(
    hard_set: Sequence[str], dev_size: int = 300, seed: int = 0
) -> tuple[list[str], list[str]]:
    """Shuffle the hard set and take a dev part off it; a small one is halved.

    The same samples in another order give the same split.

    Args:
        hard_set: Sample ids, at least two for both parts to have one.
        dev_size: Samples in the dev part, unless the hard set has fewer than 1.5 times as many.
        seed: Of the shuffle.

    Returns:
        Train, to reflect on, and dev, to score templates on.
    """
    samples = sorted(hard_set)
    random.Random(f"split-{seed}").shuffle(samples)
    size = dev_part(len(samples), dev_size)
    return samples[size:], samples[:size]


def dev_part(samples: int, dev_size: int) -> int:
    """Size of the dev part of a hard set of so many samples; see `split_hard_set`."""
    return samples // 2 if samples < 1.5 * dev_size else dev_size
