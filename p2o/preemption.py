"""Stopping on SIGTERM: save, and exit with status 0 within half a minute.

Sampling is the one long operation that changes nothing before it ends, so a signal breaks it off
there and then; anywhere else the run goes on to the end of the update. What cannot get that far in
time is left as the last checkpoint has it.
"""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from p2o.distributed import world_size

GRACE_SECONDS = 25.0
"""From the signal to an exit without another checkpoint."""


class Preempted(BaseException):
    """The run was told to stop. No `Exception`, so that nothing takes it for a failure."""


class _State:
    requested = False
    interruptible = False
    held = False


_state = _State()


@contextmanager
def interruptible() -> Iterator[None]:
    """What runs inside may be broken off at any point.

    Not with several ranks: the others would wait for this one.
    """
    _state.interruptible = world_size() == 1 and not _state.held
    try:
        if _state.interruptible and _state.requested:
            raise Preempted
        yield
    finally:
        _state.interruptible = False


@contextmanager
def uninterruptible() -> Iterator[None]:
    """What runs inside is better finished: a checkpoint comes right after it."""
    _state.held = True
    try:
        yield
    finally:
        _state.held = False


def install_handler() -> None:
    """Let SIGTERM stop this process in an orderly way."""
    if threading.current_thread() is threading.main_thread():
        _state.requested = _state.interruptible = _state.held = False
        signal.signal(signal.SIGTERM, _handle)


def _handle(number: int, frame: FrameType | None) -> None:
    if _state.requested:
        return
    _state.requested = True
    timer = threading.Timer(GRACE_SECONDS, _give_up)
    timer.daemon = True
    timer.start()
    if _state.interruptible:
        raise Preempted


def _give_up() -> None:
    print("stopped by SIGTERM before the end of an update; the last checkpoint stands", flush=True)
    sys.stderr.flush()
    os._exit(0)


class StopWhenPreempted(Callback):
    """Ends the run after the update during which SIGTERM came; a ModelCheckpoint saves it."""

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take the signal from Lightning, whose handler starts a collective operation."""
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, _handle)

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Stop on all ranks when one was told to."""
        if batch_idx + 1 < trainer.num_training_batches:
            self._stop(trainer)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """After an epoch's last update its end comes first, with its checkpoint."""
        self._stop(trainer)

    def _stop(self, trainer: Trainer) -> None:
        if trainer.strategy.reduce_boolean_decision(_state.requested, all=False):
            raise Preempted
