"""Advantages whose gradient is that of a likelihood (MaxRL, arXiv 2602.02710)."""

import torch
from torch import Tensor

from p2o.objectives.advantages import group_advantages


def maxrl_advantages(rewards: Tensor) -> Tensor:
    """Each reward relative to its group's mean, in units of that mean.

    For rewards of 0 and 1 and a policy that is right with probability p, the expected gradient of a
    group of K is that of ``log p`` expanded in failures up to order K - 1: the sum of
    ``(1 - p)^(k - 1)`` times the gradient of p over k from 1 to K - 1. Without division it would be
    the first term alone. So a prompt that is seldom solved weighs more, and more rollouts come
    closer to maximum likelihood. (The paper's estimator also takes its control variate in groups
    without any success, which gives the term of order K. Here, as wherever else, a group of equal
    rewards gets exactly zero.)

    Args:
        rewards: `[G, K]`, shares of success: where the mean of a group is not above 0, which takes
            punishments, there is no likelihood, and the group gets zero.

    Returns:
        `[G, K]`.
    """
    means = rewards.nanmean(dim=1, keepdim=True)
    advantages = group_advantages(rewards, divide_by_std=False)
    return torch.where(means > 0, advantages / means, 0.0)
