"""Stop after a number of rollouts, whatever they were spent on."""

from typing import Any, Protocol, runtime_checkable

from lightning.pytorch import Trainer

from p2o_callbacks.spending_budget import SpendingBudget


@runtime_checkable
class RolloutCounter(Protocol):
    """Knows how many rollouts the method has spent, template search included."""

    @property
    def training_rollouts(self) -> int:
        """All rollouts but those of held-out evaluation."""
        ...


class RolloutBudget(SpendingBudget):
    """Stops training at the first update after `max_rollouts`, so that methods compare fairly.

    Args:
        max_rollouts: Rollouts to spend, template search included.

    Example::

        Trainer(max_epochs=-1, callbacks=[RolloutBudget(20_000)])
    """

    argument, unit, counter = "max_rollouts", "rollouts", RolloutCounter

    def __init__(self, max_rollouts: int) -> None:
        super().__init__(max_rollouts)
        self.max_rollouts = max_rollouts

    def count(self, counter: Any) -> int:
        """See `SpendingBudget.count`."""
        return counter.training_rollouts

    def spent(self, trainer: Trainer) -> int:
        """Rollouts that have been spent, `max_rollouts` at most."""
        return int(super().spent(trainer))
