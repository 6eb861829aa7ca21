"""An evaluation of the weights that a run ends with, however it ends."""

from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from p2o.learning.loops import at_the_last_step
from p2o.running.loggers import tables


class FinalEvaluation(Callback):
    """Evaluates at the end of training, where the trainer has not done so after the last update.

    The trainer evaluates at the end of whole epochs, or after every so many updates. Place it
    before the callbacks that look at what was measured.

    A run that a callback has ended, such as early stopping or a budget, stays ended when it is
    started again; the trainer itself remembers its own limits alone.

    Args:
        go_on: Whether to train on all the same.
        summary: A file that an earlier end has left; it is removed when training goes on, since a
            run that has one has ended.

    Attributes:
        trained: Whether there was anything left to do.
    """

    def __init__(self, go_on: bool = False, summary: Path | None = None) -> None:
        self.go_on, self.trained, self._ended = go_on, False, False
        self.summary = summary
        # The step at which it was logged, where the trainer would not have evaluated.
        self._added: int | None = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note that training goes on, or let it not begin."""
        if self._ended and not self.go_on:
            trainer.should_stop = True
        else:
            self.trained, self._ended = True, False
            if self.summary is not None and trainer.is_global_zero:
                self.summary.unlink(missing_ok=True)
            if self._added is not None:
                _drop_evaluation(trainer, self._added)
                self._added = None

    def state_dict(self) -> dict[str, Any]:
        """Whether a callback has ended the run, and where an evaluation was added."""
        return {"ended": self._ended, "added": self._added}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what `state_dict` wrote."""
        self._ended, self._added = state_dict["ended"], state_dict["added"]

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Evaluate, when this epoch is the last."""
        self._ended = trainer.should_stop
        if _is_last(trainer) and not is_measured(trainer):
            training: Any = trainer
            training.validating = True
            with at_the_last_step(trainer) as step:
                self._added = step
                trainer.fit_loop.epoch_loop.val_loop.run()
            training.training = True


def _drop_evaluation(trainer: Trainer, step: int) -> None:
    """A run that goes on is to have the table of one that never ended."""
    for table in tables(trainer):
        table.drop_rows(
            lambda place, row: int(row["step"]) == step and bool(row.get("val/accuracy"))
        )


def is_measured(trainer: Trainer) -> bool:
    """Whether held-out accuracy is that of the weights at hand, or is not to be measured."""
    parts: Any = trainer
    measured_at = parts.datamodule.evaluation.measured_at
    return not trainer.limit_val_batches or measured_at == trainer.global_step


def _is_last(trainer: Trainer) -> bool:
    def reached(number: int, most: int | None) -> bool:
        return most is not None and most != -1 and number >= most

    epochs: Any = trainer.fit_loop.epoch_progress.current
    return (
        trainer.should_stop
        or reached(epochs.processed, trainer.max_epochs)
        or reached(trainer.global_step, trainer.max_steps)
    )
