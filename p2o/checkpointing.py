"""Checkpoints that are whole or not there, written between two updates."""

import re
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint

from p2o.checkpoint_files import refuse_shards
from p2o.errors import EngineError, PeerError, UserError
from p2o.files import written_whole
from p2o.preemption import Preempted
from p2o_callbacks import TrainingCollapsed

SHARED = (UserError, EngineError, PeerError, TrainingCollapsed, Preempted)
"""What all ranks raise together, so that they can save together."""


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes aside, waits for the disk, renames: a kill never leaves half a checkpoint."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None
    ) -> None:
        """Write to a file; to a remote store as Lightning does."""
        if re.match(r"\w+://", str(path)):
            super().save_checkpoint(checkpoint, path, storage_options)
            return
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        with written_whole(target) as file:
            torch.save(checkpoint, file)

    def load_checkpoint(
        self, path: Any, map_location: Any = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Load as Lightning does.

        Raises:
            UserError: It is a folder of shards.
        """
        refuse_shards(Path(path))
        return super().load_checkpoint(path, map_location or "cpu", weights_only)


class StepCheckpoint(ModelCheckpoint):
    """Lightning's ModelCheckpoint, which saves what a run can go on from as if it never stopped.

    It does not save within an update: gradients that have been gathered are no part of a
    checkpoint. What is due then is saved after the update. When an exception breaks an update off,
    the checkpoint is one of before that update, which is made again.

    Nor does it save between an epoch's last update and its end: of such a checkpoint Lightning
    resumes with the next epoch, and leaves out validation and mining. The one written at the
    epoch's end follows anyway.
    """

    def on_train_batch_end(self, trainer: Trainer, *arguments: Any, **named: Any) -> None:
        """Save as Lightning would, but not within an update, nor after an epoch's last one."""
        if not (trainer.fit_loop._should_accumulate() or _epoch_is_ending(trainer)):
            super().on_train_batch_end(trainer, *arguments, **named)

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Save as Lightning would, but not after the last update, nor when other ranks go on."""
        if trainer.world_size > 1 and not isinstance(exception, SHARED):
            return
        if not _epoch_is_ending(trainer):
            super().on_exception(trainer, pl_module, exception)

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Let the trainer's progress end with the last whole update."""
        loop = checkpoint["loops"]["fit_loop"]
        progress = loop["epoch_loop.batch_progress"]
        current = progress["current"]
        size = trainer.accumulate_grad_batches
        begun = current["ready"] % size or size
        # The update that was begun last is whole when its last step has been processed.
        broken_off = current["processed"] < current["ready"] or begun < size
        if not current["ready"] or not broken_off or progress["is_last_batch"]:
            return
        ahead = {name: value - (current["ready"] - begun) for name, value in current.items()}
        for counts in (current, progress["total"]):
            for name in counts:
                counts[name] -= ahead[name]


def _epoch_is_ending(trainer: Trainer) -> bool:
    batches: Any = trainer.fit_loop.epoch_loop.batch_progress.current
    last = batches.processed >= trainer.num_training_batches
    return last and batches.completed < batches.processed
