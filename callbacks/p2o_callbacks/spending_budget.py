"""What all budgets share: training stops at the first update after which one is spent."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from lightning.pytorch import Callback, LightningModule, Trainer

from p2o_callbacks.errors import ConfigurationError
from p2o_callbacks.protocols import find_early, find_part
from p2o_callbacks.updates import has_updated


class SpendingBudget(Callback, ABC):
    """Stops training at the first update after which a limit is reached.

    A run that goes on from there makes no batch. One that was stopped before that update makes it
    first, as its rollouts have been paid for.

    Args:
        limit: How much may be spent.

    Attributes:
        argument: What a subclass calls its limit.
        unit: What it counts.
        counter: The protocol of what counts that.

    Raises:
        ConfigurationError: The limit is not positive.
    """

    argument: ClassVar[str]
    unit: ClassVar[str]
    counter: ClassVar[type]

    def __init__(self, limit: float) -> None:
        if limit <= 0:
            raise ConfigurationError(
                f"{self.argument}={limit}: give a positive number of {self.unit}"
            )
        self.limit = limit
        # Whether the update at which the limit was reached has been made.
        self._learned = False

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Find the counter before anything is spent."""
        if stage == "fit":
            find_early(trainer, self.counter, type(self).__name__)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Find a counter that is the train dataloader; end a run that had ended."""
        spent = self.is_spent(trainer)
        # The limit may have been raised since.
        self._learned = self._learned and spent
        if self._learned:
            trainer.should_stop = True

    def has_ended(self, trainer: Trainer) -> bool:
        """Whether the limit is reached and what it bought is learned."""
        return self._learned and self.is_spent(trainer)

    def spent(self, trainer: Trainer) -> float:
        """What has been spent, `limit` at most."""
        return min(self.count(self._find(trainer)), self.limit)

    def is_spent(self, trainer: Trainer) -> bool:
        """Whether the limit is reached."""
        return self.spent(trainer) == self.limit

    @abstractmethod
    def count(self, counter: Any) -> float:
        """What a counter says."""

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Ask the trainer to stop when the budget is spent and what it bought is learned."""
        # Gradients of an update that is not whole are dropped when the trainer stops.
        if has_updated(trainer) and self.is_spent(trainer):
            self._learned = True
            trainer.should_stop = True

    def state_dict(self) -> dict[str, Any]:
        """Whether the run has ended."""
        return {"learned": self._learned}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what `state_dict` gave."""
        self._learned = state_dict["learned"]

    def _find(self, trainer: Trainer) -> Any:
        return find_part(trainer, self.counter, type(self).__name__)
