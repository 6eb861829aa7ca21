"""Which context a templated rollout is trained on, and how its tokens are weighed."""

from p2o.distillation.reweighted import Reweighted
from p2o.distillation.strategy import (
    ContextDistillation,
    DistillationStrategy,
    NoDistillation,
    ReverseKL,
    SuccessOnly,
    Tapered,
)
from p2o.distillation.told import Told
from p2o.distillation.top_k import TopKReverseKL
from p2o.prompt import Context

__all__ = [
    "Context",
    "ContextDistillation",
    "DistillationStrategy",
    "NoDistillation",
    "ReverseKL",
    "Reweighted",
    "SuccessOnly",
    "Tapered",
    "Told",
    "TopKReverseKL",
]
