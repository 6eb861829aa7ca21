"""From the rewards of groups to advantages."""

import torch
from torch import Tensor


def live_groups(rewards: Tensor) -> Tensor:
    """Which groups have two different rewards, and with them a gradient.

    Rewards are compared as they are: a small float in place of zero would also call a group dead
    whose rewards differ little.

    Args:
        rewards: `[G, K]`.

    Returns:
        `[G]`, boolean.
    """
    return (rewards != rewards[:, :1]).any(dim=1)


def group_advantages(
    rewards: Tensor, *, divide_by_std: bool = True, epsilon: float = 1e-6
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
    advantages = rewards - rewards.mean(dim=1, keepdim=True)
    if divide_by_std:
        correction = min(1, rewards.shape[1] - 1)
        std = rewards.std(dim=1, correction=correction, keepdim=True)
        advantages = advantages / (std + epsilon)
    return torch.where(live_groups(rewards)[:, None], advantages, 0.0)


def leave_one_out_advantages(rewards: Tensor) -> Tensor:
    """Each reward minus the mean of the others in its group (RLOO, arXiv 2402.14740, section 2.3).

    A group of equal rewards, a group of one included, gets exactly zero.

    Args:
        rewards: `[G, K]`.

    Returns:
        `[G, K]`.
    """
    size = rewards.shape[1]
    others = (rewards.sum(dim=1, keepdim=True) - rewards) / max(size - 1, 1)
    return torch.where(live_groups(rewards)[:, None], rewards - others, 0.0)


def batch_advantages(rewards: Tensor, *, epsilon: float = 1e-6) -> Tensor:
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
    std = advantages.std(correction=min(1, advantages.numel() - 1))
    return advantages / (std + epsilon)
