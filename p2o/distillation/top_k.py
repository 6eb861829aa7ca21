"""The divergence from the told policy over the most probable tokens, not over the sampled one."""

from dataclasses import dataclass

import torch
from torch import Tensor

from p2o.constraints import Count
from p2o.distillation.strategy import ReverseKL

NO_TAIL = -1e-7
"""Log-probability of all choices together, at most: the rest keeps a little."""


def choice_advantages(old_bare: Tensor, graded: Tensor, limit: float) -> Tensor:
    """Advantages of tokens whose policy gradient is that of a restricted reverse divergence.

    The divergence is KL(p || q) with all but C tokens in one bucket, t and u being its probability:
    ``sum_c p_c log(p_c / q_c) + t log(t / u)``. Its gradient is the sum over choices of ``p_c
    (log(p_c / q_c) - log(t / u)) grad log p_c``. So nothing is left to the luck of which token was
    sampled, and with all tokens among the choices it is the exact gradient.

    Args:
        old_bare: `[T, C]`, log p of the choices at each place.
        graded: `[T, C]`, log q.
        limit: Largest size of a log ratio.

    Returns:
        `[T, C]`.
    """
    # A token that both rule out differs by nothing.
    gains = (graded - old_bare).nan_to_num(0.0, float("inf"), -float("inf")).clamp(-limit, limit)
    tail = (_rest(graded) - _rest(old_bare)).clamp(-limit, limit)
    return old_bare.exp() * (gains - tail)


def _rest(log_probs: Tensor) -> Tensor:
    """`[T, 1]`, log-probability of all other tokens."""
    choices = log_probs.logsumexp(-1, keepdim=True).clamp(max=NO_TAIL)
    return (-torch.expm1(choices)).log()


@dataclass(frozen=True)
class TopKReverseKL(ReverseKL):
    """`ReverseKL` over the tokens that the policy finds most probable, as SDPO and SDFT have it.

    SDPO (arXiv 2601.20802) restricts the divergence to the student's top K and a bucket for the
    rest. Its variance is lower than that of the sampled token, at C log-probabilities for each
    token and no further pass through the layers but the one that finds the choices.

    Attributes:
        choices: C, how many tokens at each place.
    """

    choices: Count = 20  # type: ignore[assignment]

    def token_advantages(
        self, advantage: float, solved: bool, old_bare: Tensor, old_templated: Tensor
    ) -> Tensor:
        """`[T, C]` of log-probabilities of the choices, `[T, C]` each."""
        return self.coefficient * choice_advantages(old_bare, old_templated, self.limit)
