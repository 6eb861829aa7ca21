"""Pure functions of tensors: advantages, the policy loss, and what carries contrast."""

from p2o.objectives.advantages import group_advantages, live_groups
from p2o.objectives.aggregation import Aggregation, aggregate
from p2o.objectives.contrast import opening_contrast, reward_spread
from p2o.objectives.policy_loss import PolicyLoss

__all__ = [
    "Aggregation",
    "PolicyLoss",
    "aggregate",
    "group_advantages",
    "live_groups",
    "opening_contrast",
    "reward_spread",
]
