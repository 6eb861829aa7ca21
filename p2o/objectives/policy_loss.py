"""The clipped policy gradient loss (PPO, as in GRPO, arXiv 2402.03300, equation 3, without KL)."""

from dataclasses import dataclass
from typing import get_args

import torch
from torch import Tensor

from p2o.errors import UserError
from p2o.objectives.aggregation import Aggregation, aggregate

LOG_RATIO_LIMIT = 20.0
"""The log ratio is cut here so that its exponential stays finite, as in the reference."""


@dataclass(frozen=True)
class PolicyLoss:
    """Clipped surrogate with token weights and a second clip for negative advantages.

    Attributes:
        clip_low: How far below 1 the ratio may go and still carry gradient.
        clip_high: How far above 1; more than `clip_low` is DAPO's clip-higher.
        dual_clip: Loss of a token with negative advantage is at most this many times the
            advantage's size (arXiv 1912.09729, equation 5); None sets no limit.
        aggregation: Which mean of the token losses.

    Raises:
        UserError: A setting cannot work.
    """

    clip_low: float = 0.2
    clip_high: float = 0.2
    dual_clip: float | None = 3.0
    aggregation: Aggregation = "token-mean"

    def __post_init__(self) -> None:
        if not 0 <= self.clip_low <= 1:
            raise UserError(f"algorithm.loss.clip_low={self.clip_low}: give a number from 0 to 1")
        if self.clip_high < 0:
            raise UserError(f"algorithm.loss.clip_high={self.clip_high}: give at least 0")
        if self.dual_clip is not None and self.dual_clip <= 1:
            raise UserError(
                f"algorithm.loss.dual_clip={self.dual_clip}: give more than 1, or null for none"
            )
        if self.aggregation not in get_args(Aggregation):
            raise UserError(
                f"algorithm.loss.aggregation={self.aggregation}: "
                f"give one of {', '.join(get_args(Aggregation))}"
            )

    def __call__(
        self,
        log_probs: Tensor,
        old_log_probs: Tensor,
        advantages: Tensor,
        mask: Tensor,
        token_weights: Tensor,
        total_tokens: Tensor | float,
        total_sequences: Tensor | float,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of one micro-batch.

        Token weights scale the loss only: a token of weight 0 still counts in the mean that the
        loss is (reference behaviour). What stands outside the mask does not matter.

        Args:
            log_probs: `[B, T]` under the policy being trained.
            old_log_probs: `[B, T]` under the policy before the update; no gradient.
            advantages: `[B]` or `[B, T]`.
            mask: `[B, T]`, true or 1 at response tokens.
            token_weights: `[B, T]`, 1 for ordinary tokens; the Context Ratio Mask for others.
            total_tokens: Response tokens of the whole optimiser step, see `aggregate`.
            total_sequences: Responses of the whole optimiser step.

        Returns:
            The loss, a scalar, and detached means over this micro-batch's response tokens, token
            weights left out: ``clip_fraction`` (the clipped term decides), ``dual_clip_fraction``
            (the second clip decides) and ``approx_kl`` (old minus new log-probability).
        """
        mask = mask.bool()
        if advantages.dim() == 1:
            advantages = advantages[:, None]
        log_ratio = (log_probs - old_log_probs).masked_fill(~mask, 0.0)
        log_ratio = log_ratio.clamp(-LOG_RATIO_LIMIT, LOG_RATIO_LIMIT)
        ratio = log_ratio.exp()
        unclipped = -advantages * ratio
        clipped = -advantages * ratio.clamp(1 - self.clip_low, 1 + self.clip_high)
        losses = torch.maximum(unclipped, clipped)
        bounded = torch.zeros_like(mask)
        if self.dual_clip is not None:
            limit = -advantages * self.dual_clip
            bounded = (advantages < 0) & (losses > limit)
            losses = torch.where(bounded, limit, losses)
        loss = aggregate(
            losses * token_weights,
            mask,
            mode=self.aggregation,
            total_tokens=total_tokens,
            total_sequences=total_sequences,
        )
        tokens = mask.sum().clamp(min=1)
        metrics = {
            "clip_fraction": ((clipped > unclipped) & mask).to(ratio.dtype).sum() / tokens,
            "dual_clip_fraction": (bounded & mask).to(ratio.dtype).sum() / tokens,
            "approx_kl": -log_ratio.detach().sum() / tokens,
        }
        return loss, metrics
