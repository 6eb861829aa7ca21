"""Weights that correct for an engine that samples from another policy than the trainer's.

Engine and trainer compute with other kernels, and often in other types, so that the same weights
give a token other probabilities. The loss takes the trainer's; these weights make up for it.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from p2o.errors import UserError
from p2o.objectives.aggregation import sums_of


@dataclass(frozen=True)
class EngineCorrection:
    """Importance weights pi_trainer / pi_engine, kept within bounds.

    | config | level | outside |
    |---|---|---|
    | token_truncated | token | moved to the bound (https://fengyao.notion.site/off-policy-rl) |
    | sequence_truncated | sequence | moved to the bound |
    | token_masked | token | weight 0 (IcePop, arXiv 2510.18855, section 2.3.2) |
    | sequence_masked | sequence | weight 0 |

    Attributes:
        level: Whether a token's weight is its own ratio, or the product of those of its response.
        outside: What becomes of a weight outside of the bounds.
        low: Lower bound; None for none.
        high: Upper bound.
        reads: Names of further streams that a subclass takes, see `PolicyLoss`.

    Raises:
        UserError: A setting cannot work.
    """

    level: Literal["token", "sequence"] = "token"
    outside: Literal["truncate", "mask"] = "truncate"
    low: float | None = None
    high: float = 2.0
    reads: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        if self.level not in ("token", "sequence"):
            raise UserError(f"level={self.level}: give token or sequence")
        if self.outside not in ("truncate", "mask"):
            raise UserError(f"outside={self.outside}: give truncate or mask")
        if self.low is not None and not 0 <= self.low <= 1:
            raise UserError(f"low={self.low}: give a number from 0 to 1, or null for none")
        if not self.high >= 1:
            raise UserError(f"high={self.high}: give at least 1")

    def __call__(
        self, log_probs: Tensor, sampled: Tensor, sequences: Tensor, **streams: Tensor
    ) -> Tensor:
        """Weights `[M]` for the losses of learned tokens, without gradient.

        Args:
            log_probs: `[M]`, the trainer's, under the policy that was sampled.
            sampled: `[M]`, the engine's; not a number where tokens were sampled in another context
                than the one that is trained, which get weight 1.
            sequences: `[M]`, number of the response that a token belongs to.
            streams: `[M]` each, those of `reads`; not a number where a sample does not have one.
        """
        log_ratio = (log_probs - sampled).detach().nan_to_num(0.0)
        if self.level == "sequence":
            log_ratio = sums_of(log_ratio, sequences)
        ratio = log_ratio.exp()
        if self.outside == "truncate":
            return ratio.clamp(self.low, self.high)
        inside = (ratio >= (self.low or 0.0)) & (ratio <= self.high)
        return torch.where(inside, ratio, 0.0)
