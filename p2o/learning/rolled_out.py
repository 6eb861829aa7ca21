"""Rollouts that were made together, as those are told who watch a run."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from torch import Tensor

from p2o.rollout.runner import Rollout

Phase = Literal["training", "evolution", "held_out"]
LONGEST = 1024
"""Tokens of a response whose ratios are told."""


@dataclass(frozen=True)
class Learned:
    """What training made of one response; None for what was not measured.

    Attributes:
        advantage: Of the response.
        engine_kl: Mean over learned tokens of the engine's log-probability minus the trainer's.
        kept: Share of learned tokens that the Context Ratio Mask keeps.
        reliance: Mean over learned tokens of the log-probability with the template minus without.
        weight: Mean weight of a token in the update.
        log_ratios: `[T]`, at most `LONGEST`, log pi(y|x) - log pi(y|x~) of each learned token, the
            context ratio's logarithm; of successes with a hint alone.
    """

    advantage: float
    engine_kl: float | None = None
    kept: float | None = None
    reliance: float | None = None
    weight: float | None = None
    log_ratios: Tensor | None = field(default=None, compare=False)


@dataclass(frozen=True)
class RolledOut:
    """Groups of rollouts, the same on all ranks.

    Attributes:
        phase: What they were made for.
        groups: In order.
        first: Place of the first group: among the prompts of the epoch, or of the evaluation.
        learned: By place of the group and of the rollout in it, of those that are trained on.
        untrained: Whether nothing was trained before.
    """

    phase: Phase
    groups: Sequence[Sequence[Rollout]]
    first: int = 0
    learned: Mapping[tuple[int, int], Learned] = field(default_factory=dict)
    untrained: bool = False


RolloutObserver = Callable[[RolledOut], None]
