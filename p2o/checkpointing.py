"""Checkpoints that are whole or not there, and the one to go on from."""

import logging
import pickle
import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from pydantic import StringConstraints

from p2o.errors import EngineError, PeerError, UserError
from p2o.files import written_whole
from p2o.hints import Positive
from p2o.preemption import Preempted
from p2o_callbacks import TrainingCollapsed

logger = logging.getLogger(__name__)

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


FileName = Annotated[
    str,
    # In braces Lightning puts metrics, whose names may have slashes.
    StringConstraints(min_length=1, pattern=r"^([^/\\{}]|\{[^{}]*\})+$"),
    "without a folder",
]


def minutes(minutes: Positive) -> timedelta:
    """An interval of time, for a configuration."""
    return timedelta(minutes=minutes)


class StepCheckpoint(ModelCheckpoint):
    """Lightning's ModelCheckpoint, but for the moment between an epoch's last update and its end.

    Of a checkpoint from there Lightning resumes with the next epoch, and leaves out what belongs to
    the end of this one: validation, mining. The one written at the epoch's end follows anyway.

    Args:
        filename: Of the files, in `dirpath` itself.
        more: See `ModelCheckpoint`.
    """

    def __init__(self, *, filename: FileName | None = None, **more: Any) -> None:
        super().__init__(filename=filename, **more)

    @property
    def state_key(self) -> str:
        """Lightning's, with the file's name: there may be several that save at the same times."""
        return f"{super().state_key}{{'filename': {self.filename!r}}}"

    def on_train_batch_end(self, trainer: Trainer, *arguments: Any, **named: Any) -> None:
        """Save as Lightning would, but not after the last update."""
        if not _epoch_is_ending(trainer):
            super().on_train_batch_end(trainer, *arguments, **named)

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Save as Lightning would, but not after the last update, nor when other ranks go on."""
        if trainer.world_size > 1 and not isinstance(exception, SHARED):
            return
        if not _epoch_is_ending(trainer):
            super().on_exception(trainer, pl_module, exception)


def _epoch_is_ending(trainer: Trainer) -> bool:
    batches: Any = trainer.fit_loop.epoch_loop.batch_progress.current
    last = batches.processed >= trainer.num_training_batches
    return last and batches.completed < batches.processed


def newest_checkpoint(folder: Path) -> Path | None:
    """The whole checkpoint with the most updates, or None; damaged ones are passed over."""
    found: list[tuple[int, int, Path]] = []
    for path in sorted(folder.glob("*.ckpt")):
        # Links lead to a file that is there under its own name.
        if path.is_symlink():
            continue
        try:
            step = read_header(path)["global_step"]
        except UserError as error:
            logger.warning("%s; passing it over", error)
            continue
        found.append((step, path.stat().st_mtime_ns, path))
    return max(found)[2] if found else None


def read_header(path: Path) -> dict[str, Any]:
    """A checkpoint without its tensors' values: trainer's progress, and the states of parts.

    Args:
        path: A file, or the folder of a sharded checkpoint.

    Raises:
        UserError: There is none, it is damaged, or p2o-train has not written it.
    """
    if not path.exists():
        raise UserError(f"ckpt_path={path}: no such checkpoint")
    file = path
    if path.is_dir():
        # Torch writes the index of the shards last.
        if not (path / ".metadata").is_file():
            raise UserError(f"ckpt_path={path}: a sharded checkpoint that was not finished")
        file = path / "meta.pt"
    try:
        content = torch.load(file, weights_only=True, mmap=True, map_location="meta")
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError) as error:
        raise UserError(f"ckpt_path={path}: not a checkpoint, or a damaged one") from error
    if not isinstance(content, dict) or "RolloutDataModule" not in content:
        raise UserError(f"ckpt_path={path}: not a checkpoint of p2o-train")
    return content
