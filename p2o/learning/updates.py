"""Whole updates: what a checkpoint says was done, and what the ledger counts."""

from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from p2o.accounting.ledger import Ledger
from p2o.learning.loops import never_close_an_epoch_twice
from p2o_callbacks.updates import has_updated


class WholeUpdates(Callback):
    """Makes every checkpoint one of between two updates, whoever writes it and when.

    Gradients that have been gathered are no part of a checkpoint. One that is written within an
    update, or when an exception breaks off an update, a batch of rollouts or a search, says that
    nothing of it has been done, as the run that goes on from there does all of it. The ledger
    counts accordingly; a batch of rollouts that is complete is kept, and counted. Put it before all
    callbacks that spend.

    Args:
        ledger: Of the run.
    """

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self._tokens = 0

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Let a checkpoint from an epoch's end begin the next epoch."""
        never_close_an_epoch_twice(trainer)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """A search may follow."""
        self.ledger.keep()

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Count an update's tokens when it has been made; rollouts may follow."""
        # An update without any gradient is not made, and its batches are None.
        if batch is not None:
            self._tokens += batch.tokens
        if has_updated(trainer):
            self.ledger.add(trained_tokens=self._tokens)
            self._tokens = 0
            self.ledger.keep()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """What an evaluation took is not taken again."""
        self.ledger.keep()

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """What was broken off has not been spent: it is done again."""
        self.ledger.take_back()

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Let the trainer's progress end with the last whole update, or the last whole epoch."""
        loop = checkpoint["loops"]["fit_loop"]
        _end_with_whole_epoch(loop["epoch_progress"])
        end_with_whole_update(loop["epoch_loop.batch_progress"], trainer.accumulate_grad_batches)


def _end_with_whole_epoch(progress: dict[str, dict[str, int]]) -> None:
    """Between two epochs, where a search is made: as it is when the first one's end is saved."""
    if progress["current"]["ready"] > progress["current"]["started"] > 0:
        for counts in (progress["total"], progress["current"]):
            counts["ready"] -= 1
            counts["completed"] -= 1


def end_with_whole_update(progress: dict[str, Any], size: int) -> None:
    """As it was before the first step of an update that has not been made.

    Args:
        progress: Of the batches, changed in place.
        size: Steps of an update.
    """
    total, current = progress["total"], progress["current"]
    broken_off = current["processed"] < current["ready"]
    if not broken_off and (progress["is_last_batch"] or current["ready"] % size == 0):
        # The trainer does not start batches without gradient, and would take the last one for
        # broken off.
        for counts in (total, current):
            counts["started"] = counts["ready"]
        return
    done = (current["ready"] - broken_off) // size * size
    done_in_all = total["completed"] - (current["completed"] - done)
    for name in current:
        current[name], total[name] = done, done_in_all
    progress["is_last_batch"] = False
