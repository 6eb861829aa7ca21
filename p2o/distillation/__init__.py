"""Which context a templated rollout is trained on, and how its tokens are weighed."""

from p2o.distillation.strategy import (
    Context,
    ContextDistillation,
    DistillationStrategy,
    NoDistillation,
)

__all__ = ["Context", "ContextDistillation", "DistillationStrategy", "NoDistillation"]
