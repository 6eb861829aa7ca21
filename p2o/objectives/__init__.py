"""Pure functions of tensors: advantages, policy losses, and what carries contrast."""

from p2o.objectives.advantages import (
    batch_advantages,
    group_advantages,
    leave_one_out_advantages,
    live_groups,
)
from p2o.objectives.aggregation import Aggregation, aggregate
from p2o.objectives.contrast import opening_contrast, reward_spread
from p2o.objectives.engine_correction import EngineCorrection
from p2o.objectives.kl import KLPenalty, kl_estimate
from p2o.objectives.maxrl import maxrl_advantages
from p2o.objectives.overlong import Overlong
from p2o.objectives.policy_loss import CISPOLoss, ClippedLoss, PolicyLoss
from p2o.objectives.zero_variance import entropy_shaped, zero_variance_advantages

__all__ = [
    "Aggregation",
    "CISPOLoss",
    "ClippedLoss",
    "EngineCorrection",
    "KLPenalty",
    "Overlong",
    "PolicyLoss",
    "aggregate",
    "batch_advantages",
    "entropy_shaped",
    "group_advantages",
    "kl_estimate",
    "leave_one_out_advantages",
    "live_groups",
    "maxrl_advantages",
    "opening_contrast",
    "reward_spread",
    "zero_variance_advantages",
]
