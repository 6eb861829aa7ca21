"""Checkpoints that are whole or not there."""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from itertools import takewhile
from pathlib import Path
from typing import Annotated, Any

import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from pydantic import AfterValidator, StringConstraints
from torch import Tensor

from p2o.constraints import Positive
from p2o.errors import EngineError, PeerError, UserError
from p2o.running.checkpoint_files import refuse_shards
from p2o.running.distributed import on_rank_zero
from p2o.running.files import UNFINISHED, replace_folder, written_whole
from p2o.running.preemption import Preempted
from p2o_callbacks import TrainingCollapsed

SHARED = (UserError, EngineError, PeerError, TrainingCollapsed, Preempted)
"""What all ranks raise together, so that they can save together."""


def _stay(storage: Any, location: str) -> Any:
    return storage


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
        self, path: Any, map_location: Any = _stay, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Load as Lightning does.

        Raises:
            UserError: It is a folder of shards.
        """
        refuse_shards(Path(path))
        return super().load_checkpoint(path, map_location, weights_only)


def _fills(name: str) -> str:
    """A file's name whose fields can be filled in."""
    if name in (".", ".."):
        raise ValueError("a folder")
    for field, form in FIELD.findall(name):
        format(0 if field in ("epoch", "step") else 0.0, form)
    return name


FIELD = re.compile(r"\{([\w/.-]+)(?::([^{}]*))?\}")
FileName = Annotated[
    str,
    # In braces Lightning puts metrics, whose names have slashes; other names would always be 0.
    StringConstraints(
        min_length=1,
        pattern=r"^([^/\\{}]|\{(epoch|step|\w[\w-]*/[\w/-]+)(:[^{}/\\]*)?\})+$",
    ),
    AfterValidator(_fills),
    "without a folder, and with no fields but metrics, {step} and {epoch} or {epoch:04d}",
]


def minutes(minutes: Positive) -> timedelta:
    """An interval of time, for a configuration."""
    return timedelta(minutes=minutes)


class StepCheckpoint(ModelCheckpoint):
    """Lightning's ModelCheckpoint, but for the moment between an epoch's last update and its end.

    Of a checkpoint from there Lightning resumes with the next epoch, and leaves out what belongs to
    the end of this one: validation, mining. The one written at the epoch's end follows anyway.

    Lightning saves but once between two updates. Batches that make no update, as all their groups
    are dead, have been sampled all the same, and are saved too.

    What several of these save at an epoch's end, such as the best and the newest, is one state. So
    it is stored once, under several names.

    Args:
        filename: Of the files, in `dirpath` itself.
        more: See `ModelCheckpoint`.
    """

    def __init__(self, *, filename: FileName | None = None, **more: Any) -> None:
        super().__init__(filename=filename, **more)
        self._batches_saved = 0

    @property
    def state_key(self) -> str:
        """Lightning's, with the file's name: there may be several that save at the same times."""
        return f"{super().state_key}{{'filename': {self.filename!r}}}"

    def on_train_batch_end(self, trainer: Trainer, *arguments: Any, **named: Any) -> None:
        """Save as Lightning would, but not after the last update."""
        if _epoch_is_ending(trainer):
            return
        with self._for_each_batch(trainer, self._train_time_interval is not None):
            super().on_train_batch_end(trainer, *arguments, **named)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save as Lightning would, and also after an epoch without an update.

        What such an epoch has sampled, and what it has found to be hard, is not made again.
        """
        self._last_global_step_saved = -1
        super().on_train_epoch_end(trainer, pl_module)
        self._batches_saved = _batches(trainer)
        if self._last_global_step_saved == trainer.global_step:
            self._store_once(trainer)

    def check_monitor_top_k(self, trainer: Trainer, current: Tensor | None = None) -> bool:
        """Whether a checkpoint is among the best; by its step the newest always is."""
        if self.monitor == "step" and self.save_top_k != 0:
            return True
        return super().check_monitor_top_k(trainer, current)

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Save as Lightning would, but not after the last update, nor when other ranks go on.

        While a checkpoint is being taken over there is nothing to save either: what there is then
        is no state of any run, and would take the place of that checkpoint.
        """
        if trainer.world_size > 1 and not isinstance(exception, SHARED):
            return
        if _epoch_is_ending(trainer) or _takes_over(trainer):
            return
        with self._for_each_batch(trainer):
            super().on_exception(trainer, pl_module, exception)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take note of what a run that goes on has behind it."""
        super().on_train_start(trainer, pl_module)
        self._batches_saved = _batches(trainer)

    def _store_once(self, trainer: Trainer) -> None:
        """Let what others have saved at this epoch's end be the file that this one has written.

        Not the other way round: the later file has the newest states of all callbacks.
        """
        # Those before this one forget at an epoch's end what they saved until then. Those behind
        # it still know a step from before.
        for other in takewhile(lambda each: each is not self, trainer.checkpoint_callbacks):
            if (
                isinstance(other, StepCheckpoint)
                and other._last_global_step_saved == trainer.global_step
                and other.dirpath == self.dirpath
                and other.save_weights_only == self.save_weights_only
            ):
                earlier, later = other._last_checkpoint_saved, self._last_checkpoint_saved
                on_rank_zero(partial(_link, Path(earlier), Path(later)))

    @contextmanager
    def _for_each_batch(self, trainer: Trainer, wanted: bool = True) -> Iterator[None]:
        """Let what is inside save once for each batch, and not for each update, where wanted."""
        if wanted and _batches(trainer) != self._batches_saved:
            self._last_global_step_saved = -1
        before = self._last_global_step_saved
        yield
        if self._last_global_step_saved != before:
            self._batches_saved = _batches(trainer)

    def _should_remove_checkpoint(self, trainer: Trainer, previous: str, current: str) -> bool:
        """Lightning keeps what a run has gone on from for ever."""
        assert self.dirpath is not None
        return previous != current and Path(self.dirpath) in Path(previous).parents


def _link(path: Path, other: Path) -> None:
    """Make a checkpoint another name of an equal one: a hard link, for a folder one to each file.

    The bytes are on the disk until the last of their names is gone, and what damages them damages
    the checkpoint under all names. Nothing writes into a checkpoint; a new one takes its name.

    Args:
        path: It stays a copy where the file system has no hard links.
        other: The equal one.
    """
    # With a symbolic link somebody keeps a checkpoint elsewhere.
    if path == other or path.is_symlink() or other.is_symlink():
        return
    linked = path.with_name(path.name + UNFINISHED)
    _remove(linked)
    try:
        if other.is_dir():
            linked.mkdir()
            for file in other.iterdir():
                os.link(file, linked / file.name)
            # By its age a run chooses what it goes on from.
            shutil.copystat(other, linked)
        else:
            os.link(other, linked)
    except OSError:
        _remove(linked)
        return
    if linked.is_dir():
        replace_folder(linked, path)
    else:
        linked.replace(path)


def _remove(path: Path) -> None:
    shutil.rmtree(path, ignore_errors=True)
    path.unlink(missing_ok=True)


def _batches(trainer: Trainer) -> int:
    """How many have begun since the run did."""
    return trainer.fit_loop.epoch_loop.batch_progress.total.ready


def _takes_over(trainer: Trainer) -> bool:
    """Lightning holds the checkpoint that it goes on from until all parts have taken it over."""
    connector: Any = trainer._checkpoint_connector
    return bool(connector._loaded_checkpoint)


def _epoch_is_ending(trainer: Trainer) -> bool:
    batches: Any = trainer.fit_loop.epoch_loop.batch_progress.current
    last = batches.processed >= trainer.num_training_batches
    return last and batches.completed < batches.processed
