"""Memory and time of a run, estimated before it spends anything; formulas in docs/scaling.md."""

from p2o.planning.from_config import plan_from_config
from p2o.planning.plan import Plan, estimate
from p2o.planning.setup import Batch, Draws, Efficiency, Engine, Schedule, Setup, TrainingSetup
from p2o.planning.shape import ModelShape
from p2o.planning.show import print_plan

__all__ = [
    "Batch",
    "Draws",
    "Efficiency",
    "Engine",
    "ModelShape",
    "Plan",
    "Schedule",
    "Setup",
    "TrainingSetup",
    "estimate",
    "plan_from_config",
    "print_plan",
]
