"""From the rewards of groups to advantages.

Shapes: G groups, K rollouts in each. A reward that is not a number stands for a rollout without a
verdict: it has no part in its group's statistics, and its advantage is 0.
"""

import torch
from torch import Tensor

from p2o.constraints import NotNegative


def live_groups(rewards: Tensor) -> Tensor:
    """Which groups have two different rewards, and with them a gradient.

    Rewards are compared as they are: a small float in place of zero would also call a group dead
    whose rewards differ little.

    Args:
        rewards: `[G, K]`.

    Returns:
        `[G]`, boolean.
    """
    missing = rewards.isnan()
    highest = rewards.masked_fill(missing, -torch.inf).amax(dim=1)
    lowest = rewards.masked_fill(missing, torch.inf).amin(dim=1)
    return highest > lowest


def group_advantages(
    rewards: Tensor, *, divide_by_std: bool = True, epsilon: NotNegative = 1e-6
) -> Tensor:
    """Each reward relative to its group's mean, in units of the group's standard deviation.

    GRPO, arXiv 2402.03300, section 4.1.2. A group of equal rewards, a group of one included, gets
    exactly zero.

    Args:
        rewards: `[G, K]`.
        divide_by_std: Whether to divide by the sample standard deviation (K - 1 in its
            denominator); without, the difference from the mean stays as it is (Dr. GRPO, arXiv
            2503.20783).
        epsilon: Added to the standard deviation.

    Returns:
        `[G, K]`.
    """
    advantages = rewards - rewards.nanmean(dim=1, keepdim=True)
    if divide_by_std:
        known = (~rewards.isnan()).sum(dim=1, keepdim=True)
        variance = advantages.square().nansum(dim=1, keepdim=True) / (known - 1).clamp(min=1)
        advantages = advantages / (variance.sqrt() + epsilon)
    return _of_live_groups(advantages, rewards)


def leave_one_out_advantages(rewards: Tensor) -> Tensor:
    """Each reward minus the mean of the others in its group (RLOO, arXiv 2402.14740, section 2.3).

    A group of equal rewards, a group of one included, gets exactly zero.

    Args:
        rewards: `[G, K]`.

    Returns:
        `[G, K]`.
    """
    known = (~rewards.isnan()).sum(dim=1, keepdim=True)
    others = (rewards.nansum(dim=1, keepdim=True) - rewards) / (known - 1).clamp(min=1)
    return _of_live_groups(rewards - others, rewards)


def batch_advantages(rewards: Tensor, *, epsilon: NotNegative = 1e-6) -> Tensor:
    """Each reward minus its group's mean, in units of the whole batch's standard deviation.

    REINFORCE++ with a baseline, arXiv 2501.03262: the scale is estimated from all groups of a
    batch, so that a lone success in one group does not blow up. A group of equal rewards gets
    exactly zero.

    Args:
        rewards: `[G, K]`, all groups that are rolled out together.
        epsilon: Added to the standard deviation.

    Returns:
        `[G, K]`.
    """
    advantages = group_advantages(rewards, divide_by_std=False)
    known = advantages[~rewards.isnan()]
    if known.numel() < 2:
        return advantages
    return advantages / (known.std() + epsilon)


def _of_live_groups(advantages: Tensor, rewards: Tensor) -> Tensor:
    keep = live_groups(rewards)[:, None] & ~rewards.isnan()
    return torch.where(keep, advantages, 0.0)
