"""The Context Ratio Mask (CRM) of P²O, version 4 of arXiv 2603.21877.

A templated rollout is sampled on T(x, z) and trained on x. Tokens that the old policy finds far
less, or far more, likely on x than on T(x, z) are left out or weighed differently.
"""

import torch
from torch import Tensor

LOG_RATIO_LIMIT = 20.0
"""The log ratio is cut here, so that soft weights stay finite."""


def context_ratio(old_bare: Tensor, old_templated: Tensor) -> Tensor:
    """The ratio rho of each token's probability on x to that on T(x, z), under the old policy.

    Args:
        old_bare: Log-probabilities on x, of any shape.
        old_templated: Log-probabilities on T(x, z), of the same shape.

    Returns:
        rho, of the same shape, from exp(-20) to exp(20).
    """
    return (old_bare - old_templated).clamp(-LOG_RATIO_LIMIT, LOG_RATIO_LIMIT).exp()


def hard_mask(ratio: Tensor, low: float = 0.01, high: float = 10.0) -> Tensor:
    """1 where ``low <= ratio <= high``, else 0."""
    return ((ratio >= low) & (ratio <= high)).to(ratio.dtype)


def soft_weight(ratio: Tensor, low: float = 0.01, high: float = 10.0) -> Tensor:
    """1 where ``low <= ratio <= high``, else the nearer bound over the ratio.

    Below `low` that is more than 1: such tokens are weighed up, as in the reference.
    """
    return torch.clamp(ratio, low, high) / ratio
