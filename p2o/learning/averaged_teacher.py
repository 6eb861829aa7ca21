"""Keeps a teacher that is the moving average of the policy up to date, and in checkpoints."""

from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from p2o.policy.moving_average import MovingAverage


class AveragedTeacher(Callback):
    """Moves the average after each update.

    Place it before all callbacks that may write a checkpoint.

    Args:
        teacher: The average.
    """

    def __init__(self, teacher: MovingAverage) -> None:
        self.teacher = teacher
        self._updates = 0
        self._resumed = False

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin with the policy at hand where a checkpoint has trained it without an average."""
        self._updates = trainer.global_step
        if self._updates and not self._resumed:
            self.teacher.restart()

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Move, if the optimiser has."""
        if trainer.global_step > self._updates:
            self._updates = trainer.global_step
            self.teacher.update()

    def state_dict(self) -> dict[str, Any]:
        """The average, the same on all ranks."""
        return {"average": self.teacher.weights()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what `state_dict` wrote."""
        self.teacher.take(state_dict["average"])
        self._resumed = True
