"""A run that ends within an epoch: what it takes to go on there."""

import copy
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint

from p2o.learning.averaged_teacher import AveragedTeacher
from p2o.learning.loops import STEPPED, evaluation_is_due
from p2o.learning.updates import end_with_whole_update
from p2o.running.loggers import tables
from p2o.running.resuming import PLACE


class EarlyEnd(Callback):
    """Keeps where a run was when it ended within an epoch, by ``max_steps`` or a callback.

    The trainer closes such an epoch as if it were whole: the hard set is taken, and the weights are
    evaluated. A checkpoint holds both: a run that is started again has what was measured, and one
    that is given more goes on within the epoch as if it had never ended. Place it before the
    callbacks that act on the end of an epoch.

    Args:
        go_on: Whether a run that a callback has ended goes on all the same.
    """

    def __init__(self, go_on: bool = False) -> None:
        self.go_on = go_on
        self._place: dict[str, Any] | None = None

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note the place, if there are steps left in this epoch; collective."""
        self._place = _place(trainer) if _is_within_epoch(trainer) else None

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Add the place."""
        if self._place is not None:
            checkpoint[PLACE] = self._place

    def open_again(self, trainer: Any, checkpoint: dict[str, Any]) -> None:
        """Let a checkpoint be one from within an epoch, if the run is to go on.

        Args:
            trainer: Of the run.
            checkpoint: Changed in place, before anything is taken over from it.
        """
        place = checkpoint.get(PLACE)
        if place is None or not self._goes_on(trainer, checkpoint, place):
            return
        checkpoint["loops"]["fit_loop"] = place["fit_loop"]
        checkpoint["callbacks"].update(place["callbacks"])
        for table, count in zip(tables(trainer), place["rows"], strict=False):
            table.drop_rows(lambda place, row, count=count: place >= count)
        checkpoint[type(trainer.datamodule).__qualname__] = place["datamodule"]

    def _goes_on(self, trainer: Any, checkpoint: dict[str, Any], place: dict[str, Any]) -> bool:
        epoch = place["fit_loop"]["epoch_progress"]["current"]["completed"]
        epochs = trainer.max_epochs in (None, -1) or epoch < trainer.max_epochs
        steps = trainer.max_steps == -1 or checkpoint["global_step"] < trainer.max_steps
        return epochs and steps and (self.go_on or not place["told"])


def _is_within_epoch(trainer: Any) -> bool:
    progress = trainer.fit_loop.epoch_loop.batch_progress
    return not progress.is_last_batch and progress.current.ready < trainer.num_training_batches


def _place(trainer: Any) -> dict[str, Any]:
    """All that the end of the epoch will change; checkpoint callbacks know their files."""
    # The end of an epoch moves no weights, and an average of them is large.
    unmoved = (Checkpoint, AveragedTeacher)
    callbacks = [each for each in trainer.callbacks if not isinstance(each, unmoved)]
    place = {
        "fit_loop": trainer.fit_loop.state_dict(),
        "callbacks": {each.state_key: state for each in callbacks if (state := each.state_dict())},
        "datamodule": trainer.datamodule.state_dict(),
        "told": trainer.should_stop,
        "rows": [table.count_rows() for table in tables(trainer)],
    }
    place = copy.deepcopy(place)
    loop = place["fit_loop"]
    for counts in (loop["epoch_progress"]["total"], loop["epoch_progress"]["current"]):
        counts["processed"] -= 1
    end_with_whole_update(loop["epoch_loop.batch_progress"], trainer.accumulate_grad_batches)
    if evaluation_is_due(trainer):
        # The trainer counts this step, with whose evaluation it begins, when it goes on.
        loop["epoch_loop.state_dict"][STEPPED] -= 1
    return place
