"""Estimates of the KL divergence from a reference policy."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from p2o.constraints import Factor
from p2o.errors import UserError

LOG_RATIO_LIMIT = 20.0
"""The log ratio of k3 is cut here so that its exponential stays finite."""

Estimator = Literal["k1", "k2", "k3"]
"""Schulman's three: unbiased; squared, of low variance; unbiased, of low variance, never below 0
(http://joschu.net/blog/kl-approx.html)."""


def kl_estimate(log_probs: Tensor, reference: Tensor, estimator: Estimator) -> Tensor:
    """KL(policy || reference) as estimated from one sampled token each.

    With r = reference - policy log-probability: k1 is -r, k2 is r^2 / 2, k3 is exp(r) - 1 - r.

    The gradient of k1's own value is zero in expectation, that of k2's is the divergence's, and
    that of k3's is the opposite divergence's. So k1 comes with k2's gradient. In a reward, where
    no gradient is taken, k1 is the plain choice.

    Args:
        log_probs: Of the policy, any shape.
        reference: Of the reference policy, the same shape.
        estimator: Which of the three.

    Returns:
        The same shape.
    """
    ratio = (reference - log_probs).clamp(-LOG_RATIO_LIMIT, LOG_RATIO_LIMIT)
    match estimator:
        case "k1":
            half_square = ratio.square() / 2
            return half_square - (half_square + ratio).detach()
        case "k2":
            return ratio.square() / 2
        case "k3":
            return torch.expm1(ratio) - ratio
    raise ValueError(f"unknown estimator {estimator!r}")


@dataclass(frozen=True)
class KLPenalty:
    """How much staying near the reference policy is worth.

    Attributes:
        coefficient: Weight, beta of the papers; 0 only logs the divergence.
        estimator: See `kl_estimate`.
        place: Added to the loss, or taken from each response's reward, summed over its tokens.

    Raises:
        UserError: A setting cannot work.
    """

    coefficient: Factor = 0.0
    estimator: Estimator = "k3"
    place: Literal["loss", "reward"] = "loss"

    def __post_init__(self) -> None:
        if not self.coefficient >= 0:
            raise UserError(f"coefficient={self.coefficient}: give at least 0")
        if self.estimator not in ("k1", "k2", "k3"):
            raise UserError(f"estimator={self.estimator}: give k1, k2 or k3")
        if self.place not in ("loss", "reward"):
            raise UserError(f"place={self.place}: give loss or reward")

    @property
    def in_loss(self) -> bool:
        """Whether the loss has this term, and with it every response a gradient."""
        return self.coefficient > 0 and self.place == "loss"

    @property
    def in_reward(self) -> bool:
        """Whether rewards are lowered by it."""
        return self.coefficient > 0 and self.place == "reward"
