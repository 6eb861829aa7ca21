"""What training does with templated rollouts (P²O's context distillation and its ablations)."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, Protocol

import torch
from torch import Tensor

from p2o.distillation.ratio_mask import context_ratio, hard_mask, soft_weight
from p2o.errors import UserError


class Context(StrEnum):
    """What stands in front of a response."""

    BARE = "bare"
    """The prompt x."""
    TEMPLATED = "templated"
    """The prompt with its template, T(x, z)."""


class DistillationStrategy(Protocol):
    """How templated rollouts are trained on. Others are always plain data of weight 1.

    Attributes:
        gradient_context: In front of the response when the gradient is taken.
        old_context: In front of the response for the old log-probabilities of the PPO ratio.
        needs_ratio: Whether `token_weights` looks at its arguments.
    """

    @property
    def gradient_context(self) -> Context: ...  # noqa: D102
    @property
    def old_context(self) -> Context: ...  # noqa: D102
    @property
    def needs_ratio(self) -> bool: ...  # noqa: D102

    def token_weights(self, old_bare: Tensor, old_templated: Tensor) -> Tensor:
        """Factors on the token losses of templated rollouts.

        Args:
            old_bare: `[B, T]` log-probabilities on x before the update.
            old_templated: `[B, T]` log-probabilities on T(x, z) before the update.

        Returns:
            `[B, T]`.
        """
        ...


@dataclass(frozen=True)
class ContextDistillation:
    """Gradient on the bare prompt, so that what the template gains goes into the weights.

    | variant | `old_context` | `ratio_weight` |
    |---|---|---|
    | context_distillation | bare | hard |
    | crm_soft | bare | soft |
    | no_crm | bare | None |
    | importance_corrected | templated | None |

    Attributes:
        old_context: Bare, or templated for the true off-policy ratio.
        ratio_weight: The Context Ratio Mask: drop tokens whose ratio is out of bounds, weigh them
            by bound over ratio, or None for no mask.
        low: Lower bound of the ratio.
        high: Upper bound of the ratio.

    Raises:
        UserError: The settings contradict each other.
    """

    old_context: Context = Context.BARE
    ratio_weight: Literal["hard", "soft"] | None = "hard"
    low: float = 0.01
    high: float = 10.0

    def __post_init__(self) -> None:
        if self.old_context not in list(Context):
            raise UserError(f"distillation.old_context={self.old_context}: give bare or templated")
        # A configuration file gives a plain string.
        object.__setattr__(self, "old_context", Context(self.old_context))
        if self.ratio_weight not in ("hard", "soft", None):
            raise UserError(
                f"distillation.ratio_weight={self.ratio_weight}: give hard, soft or null"
            )
        if self.old_context == Context.TEMPLATED and self.ratio_weight is not None:
            raise UserError(
                "distillation.old_context=templated already corrects for the template: "
                "give distillation.ratio_weight=null with it, or distillation.old_context=bare"
            )
        if not 0 < self.low < self.high:
            raise UserError(
                f"distillation.low={self.low} and distillation.high={self.high}: "
                "give 0 < low < high"
            )

    @property
    def gradient_context(self) -> Context:
        """Always the bare prompt."""
        return Context.BARE

    @property
    def needs_ratio(self) -> bool:
        """Whether there is a mask to compute."""
        return self.ratio_weight is not None

    def token_weights(self, old_bare: Tensor, old_templated: Tensor) -> Tensor:
        """See `DistillationStrategy`."""
        if self.ratio_weight is None:
            return torch.ones_like(old_bare)
        weigh = hard_mask if self.ratio_weight == "hard" else soft_weight
        return weigh(context_ratio(old_bare, old_templated), self.low, self.high)


class NoDistillation:
    """Gradient on the templated prompt: what was sampled is what is trained."""

    gradient_context = Context.TEMPLATED
    old_context = Context.TEMPLATED
    needs_ratio = False

    def token_weights(self, old_bare: Tensor, old_templated: Tensor) -> Tensor:
        """See `DistillationStrategy`."""
        return torch.ones_like(old_templated)
