"""Advantages where all rewards of a group are equal (RL-ZVP, arXiv 2509.21880).

With H the entropy of the policy at a token, without gradient, a token of a right response of a
group that is all right has the advantage ``alpha * H``, and one of a wrong response of a group that
is all wrong ``-alpha * (max H - H)``, the maximum being over the response. So what was uncertain is
rewarded most in the former, and punished least in the latter.
"""

import torch
from torch import Tensor

from p2o.constraints import Factor
from p2o.objectives.advantages import group_advantages, live_groups


def zero_variance_advantages(rewards: Tensor, solved: Tensor, *, alpha: Factor = 0.1) -> Tensor:
    """Advantages of responses: GRPO's, and `alpha` or -`alpha` in groups of equal rewards.

    The latter are for `entropy_shaped`, which makes them those of tokens.

    Args:
        rewards: `[G, K]`.
        solved: `[G, K]`, 1 where the verdict is that a response is right, 0 where it is not, and
            not a number where there is none.
        alpha: Their size, in units of entropy; 0 is GRPO.

    Returns:
        `[G, K]`.
    """
    alike = torch.where(solved == 1, alpha, -alpha)
    alike = alike.masked_fill(rewards.isnan() | solved.isnan(), 0.0).to(rewards.dtype)
    return torch.where(live_groups(rewards)[:, None], group_advantages(rewards), alike)


# Asks whoever gives these advantages to tokens to shape them, see `p2o.learning.baseline`.
zero_variance_advantages.shaped_by_entropy = True  # type: ignore[attr-defined]


def entropy_shaped(advantages: Tensor, entropies: Tensor, sequences: Tensor) -> Tensor:
    """Advantages of tokens, of those of responses in groups of equal rewards.

    Args:
        advantages: `[M]`.
        entropies: `[M]`, of the policy at each token; no gradient.
        sequences: `[M]`, number of the response that a token belongs to, from 0 without gaps.

    Returns:
        `[M]`.
    """
    if not len(sequences):
        return advantages
    highest = entropies.new_zeros(int(sequences.max()) + 1)
    highest = highest.scatter_reduce(0, sequences, entropies, "amax", include_self=False)
    return torch.where(
        advantages > 0, advantages * entropies, advantages * (highest[sequences] - entropies)
    )
