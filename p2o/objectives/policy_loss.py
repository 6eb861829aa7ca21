"""Policy gradient losses: the clipped surrogate and its kin."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

import torch
from torch import Tensor

from p2o.constraints import Count
from p2o.errors import UserError
from p2o.objectives.aggregation import Aggregation, aggregate, means_of

LOG_RATIO_LIMIT = 20.0
"""The log ratio is cut here so that its exponential stays finite, as in the reference."""


@dataclass(frozen=True, kw_only=True)
class PolicyLoss(ABC):
    """What all losses share: token weights and the mean.

    A subclass says what one token's loss is.

    Attributes:
        aggregation: Which mean of the token losses.
        constant_length: Tokens each response counts as, for ``aggregation=constant-length``.
        measures: Names of what `token_losses` reports; None where a subclass does not say.
        reads: Names of further streams that `token_losses` takes, such as ``policy_version``;
            ``entropies`` are those of the policy being trained.

    Raises:
        UserError: A setting cannot work.
    """

    aggregation: Aggregation = "token-mean"
    constant_length: Count | None = None
    measures: ClassVar[tuple[str, ...] | None] = None
    reads: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        if self.aggregation not in get_args(Aggregation):
            raise UserError(
                f"aggregation={self.aggregation}: give one of {', '.join(get_args(Aggregation))}"
            )
        if self.aggregation == "constant-length" and (self.constant_length or 0) < 1:
            raise UserError(
                f"constant_length={self.constant_length}: aggregation="
                "constant-length divides by it; give the most tokens a response can have"
            )

    @abstractmethod
    def token_losses(
        self,
        log_probs: Tensor,
        log_ratio: Tensor,
        advantages: Tensor,
        sequences: Tensor,
        **streams: Tensor,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of each token, and what to log.

        A loss that reads further streams has their names as parameters; another one has the first
        four alone.

        Args:
            log_probs: `[M]`.
            log_ratio: `[M]`, new minus old log-probability.
            advantages: `[M]`.
            sequences: `[M]`, number of the response that a token belongs to.
            streams: `[M]` each, those of `reads`; not a number where a sample does not have one.

        Returns:
            `[M]`, and booleans `[M]` whose shares of the tokens are logged.
        """

    def __call__(
        self,
        log_probs: Tensor,
        old_log_probs: Tensor,
        advantages: Tensor,
        token_weights: Tensor,
        sequences: Tensor,
        total_tokens: Tensor | float,
        total_sequences: Tensor | float,
        **streams: Tensor,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of the M learned tokens of one micro-batch, those of a response in a row.

        Token weights scale the loss only: a token of weight 0 still counts in the mean that the
        loss is.

        Args:
            log_probs: `[M]` under the policy being trained.
            old_log_probs: `[M]` under the policy before the update; no gradient.
            advantages: `[M]`.
            token_weights: `[M]`, 1 for ordinary tokens; the Context Ratio Mask for others.
            sequences: `[M]`, number of the response that a token belongs to, from 0 without gaps.
            total_tokens: Learned tokens of the whole optimiser step, see `aggregate`.
            total_sequences: Responses of the whole optimiser step.
            streams: `[M]` each, those of `reads`.

        Returns:
            The loss, a scalar, and detached sums over the tokens, token weights left out: what
            `token_losses` reports, and ``approx_kl`` (old minus new log-probability).
        """
        log_ratio = log_probs - old_log_probs
        losses, shares = self.token_losses(log_probs, log_ratio, advantages, sequences, **streams)
        loss = self.aggregate(losses * token_weights, sequences, total_tokens, total_sequences)
        sums = {name: share.to(log_probs.dtype).sum() for name, share in shares.items()}
        sums["approx_kl"] = -log_ratio.detach().sum()
        return loss, sums

    def aggregate(
        self,
        values: Tensor,
        sequences: Tensor,
        total_tokens: Tensor | float,
        total_sequences: Tensor | float,
    ) -> Tensor:
        """The mean that this loss takes, of any `[M]`; see `p2o.objectives.aggregate`."""
        return aggregate(
            values,
            sequences,
            mode=self.aggregation,
            total_tokens=total_tokens,
            total_sequences=total_sequences,
            constant_length=self.constant_length,
        )


@dataclass(frozen=True, kw_only=True)
class ClippedLoss(PolicyLoss):
    """The clipped surrogate (PPO; GRPO, arXiv 2402.03300, equation 3) with a second clip.

    Attributes:
        clip_low: How far below 1 the ratio may go and still carry gradient.
        clip_high: How far above 1; more than `clip_low` is DAPO's clip-higher.
        dual_clip: Loss of a token with negative advantage is at most this many times the
            advantage's size (arXiv 1912.09729, equation 5); None sets no limit.
        ratio: Of each token; or of the sequence, the geometric mean over its tokens (GSPO, arXiv
            2507.18071, equation 7). The latter is written as GSPO-token (section 4.3 there): token
            weights act on tokens, and with equal weights value and gradient are GSPO's.

    Raises:
        UserError: A setting cannot work.
    """

    clip_low: float = 0.2
    clip_high: float = 0.2
    dual_clip: float | None = 3.0
    ratio: Literal["token", "sequence"] = "token"
    measures: ClassVar[tuple[str, ...] | None] = ("clip_fraction", "dual_clip_fraction")

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.clip_low <= 1:
            raise UserError(f"clip_low={self.clip_low}: give a number from 0 to 1")
        if not self.clip_high >= 0:
            raise UserError(f"clip_high={self.clip_high}: give at least 0")
        if self.dual_clip is not None and not self.dual_clip > 1:
            raise UserError(f"dual_clip={self.dual_clip}: give more than 1, or null for none")
        if self.ratio not in ("token", "sequence"):
            raise UserError(f"ratio={self.ratio}: give token or sequence")

    def token_losses(
        self,
        log_probs: Tensor,
        log_ratio: Tensor,
        advantages: Tensor,
        sequences: Tensor,
        **streams: Tensor,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """See `PolicyLoss`."""
        if self.ratio == "sequence":
            mean = means_of(log_ratio.detach(), sequences)
            log_ratio = mean + (log_ratio - log_ratio.detach())
        ratio = log_ratio.clamp(-LOG_RATIO_LIMIT, LOG_RATIO_LIMIT).exp()
        unclipped = -advantages * ratio
        clipped = -advantages * ratio.clamp(1 - self.clip_low, 1 + self.clip_high)
        losses = torch.maximum(unclipped, clipped)
        shares = {"clip_fraction": clipped > unclipped}
        if self.dual_clip is not None:
            limit = -advantages * self.dual_clip
            bounded = (advantages < 0) & (losses > limit)
            losses = torch.where(bounded, limit, losses)
            shares["dual_clip_fraction"] = bounded
        return losses, shares


@dataclass(frozen=True, kw_only=True)
class CISPOLoss(PolicyLoss):
    """REINFORCE with a clipped importance weight (MiniMax-M1, arXiv 2506.13585, equations 4, 5).

    No token loses its gradient: the weight is clipped, not the update.

    Attributes:
        max_ratio: Upper bound of the importance weight; there is no lower one.

    Raises:
        UserError: A setting cannot work.
    """

    max_ratio: float = 5.0
    measures: ClassVar[tuple[str, ...] | None] = ("clip_fraction",)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.max_ratio >= 1:
            raise UserError(f"max_ratio={self.max_ratio}: give at least 1")

    def token_losses(
        self,
        log_probs: Tensor,
        log_ratio: Tensor,
        advantages: Tensor,
        sequences: Tensor,
        **streams: Tensor,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """See `PolicyLoss`."""
        ratio = log_ratio.detach().clamp(-LOG_RATIO_LIMIT, LOG_RATIO_LIMIT).exp()
        losses = -advantages * ratio.clamp(max=self.max_ratio) * log_probs
        return losses, {"clip_fraction": (ratio > self.max_ratio) & (advantages != 0)}
