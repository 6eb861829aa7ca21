"""Log-probabilities of chosen tokens and entropies, of logits that are held as seldom as can be.

Shapes: M tokens, V vocabulary.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def likelihood(logits: Tensor, targets: Tensor, entropy_gradient: bool) -> tuple[Tensor, Tensor]:
    """Log-probabilities of `targets` and entropies, both `[M]`.

    Args:
        logits: `[M, V]`.
        targets: `[M]`.
        entropy_gradient: Whether entropies carry gradient; that takes more memory.
    """
    if not entropy_gradient:
        log_probs, entropies = _Likelihood.apply(logits, targets)
        return log_probs, entropies
    every = logits.log_softmax(-1)
    return every.gather(-1, targets[:, None])[:, 0], -(every.exp() * every).sum(-1)


class _Likelihood(torch.autograd.Function):
    """Holds the probabilities alone from the forward to the backward pass.

    The gradient of log p(y) with regard to the logits is 1 at y, minus p.
    """

    @staticmethod
    def forward(ctx: Any, logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        probs = logits.softmax(-1)
        # The most probable token has at least 1 / V, of which a logarithm is precise.
        highest, where = logits.max(-1)
        total = highest - probs.gather(-1, where[:, None])[:, 0].log()
        log_probs = logits.gather(-1, targets[:, None])[:, 0] - total
        entropies = total - torch.linalg.vecdot(probs, logits)
        ctx.save_for_backward(probs, targets)
        ctx.mark_non_differentiable(entropies)
        return log_probs, entropies

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor, _: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        probs, targets = ctx.saved_tensors
        into_logits = probs * -gradient[:, None]
        into_logits.scatter_add_(-1, targets[:, None], gradient[:, None])
        return into_logits, None
