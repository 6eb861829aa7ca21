"""Stop after a number of rollouts, whatever they were spent on."""

from typing import Any, Protocol, runtime_checkable

from lightning.pytorch import Callback, LightningModule, Trainer

from p2o_callbacks.errors import ConfigurationError
from p2o_callbacks.protocols import find_part


@runtime_checkable
class RolloutCounter(Protocol):
    """Knows how many rollouts the method has spent, template search included."""

    @property
    def training_rollouts(self) -> int:
        """All rollouts but those of held-out evaluation."""
        ...


class RolloutBudget(Callback):
    """Stops training at the first update after `max_rollouts`, so that methods compare fairly.

    Args:
        max_rollouts: Rollouts to spend, template search included.

    Example::

        Trainer(max_epochs=-1, callbacks=[RolloutBudget(20_000)])
    """

    def __init__(self, max_rollouts: int) -> None:
        if max_rollouts <= 0:
            raise ConfigurationError(
                f"max_rollouts={max_rollouts}: give a positive number of rollouts"
            )
        self.max_rollouts = max_rollouts

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Find the counter before anything is spent."""
        if stage == "fit":
            find_part(trainer, RolloutCounter, "RolloutBudget")

    def spent(self, trainer: Trainer) -> int:
        """Rollouts that have been spent, `max_rollouts` at most."""
        counter = find_part(trainer, RolloutCounter, "RolloutBudget")
        return min(counter.training_rollouts, self.max_rollouts)

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Ask the trainer to stop when the budget is spent."""
        if self.spent(trainer) == self.max_rollouts:
            trainer.should_stop = True
