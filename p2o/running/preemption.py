"""SIGTERM and Ctrl-C: stop at the end of the update at hand and save, where 25 seconds are enough.

Preparing changes nothing, and sampling changes nothing before it ends, so a signal breaks them off
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

from lightning.pytorch import Callback, LightningModule, Trainer

from p2o.running.distributed import gather, starting_rank, world_size

GRACE_SECONDS = 25.0
"""From the signal to an exit without another checkpoint."""
SIGNALS = {signal.SIGTERM: "SIGTERM", signal.SIGINT: "Ctrl-C"}
"""What stops a run, and what a user calls it."""


class Preempted(BaseException):
    """The run was told to stop. No `Exception`, so that nothing takes it for a failure.

    Args:
        number: Of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped by {SIGNALS[signal.Signals(number)]}")
        self.status = exit_status(number)


def exit_status(number: int) -> int:
    """0 for a scheduler's SIGTERM, which is no fault; for Ctrl-C what shells expect."""
    return 0 if number == signal.SIGTERM else 128 + number


class _State:
    received: int | None = None
    interruptible = False
    broken_off = False
    held = False
    timer: threading.Timer | None = None


_state = _State()


@contextmanager
def handled_signals() -> Iterator[None]:
    """Let signals stop this process in an orderly way; until `hold_signals` they do so at once.

    What has come to its end in spite of a signal is not stopped later; see `stop_if_told`.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _state.received, _state.broken_off = None, False
    _state.interruptible, _state.held = True, False
    former = {number: signal.signal(number, _handle) for number in SIGNALS}
    try:
        yield
    except Exception as error:
        # What is broken off in its middle may fail while it cleans up.
        if _state.broken_off:
            raise Preempted(_state.received or signal.SIGTERM) from error
        raise
    finally:
        if _state.timer is not None:
            _state.timer.cancel()
            _state.timer = None
        for number, handler in former.items():
            signal.signal(number, handler)
        # What comes next has not been told to stop.
        _state.received = None


def hold_signals() -> None:
    """From here on only what says so is broken off; the run is asked at its own moments."""
    _state.interruptible = False


@contextmanager
def interruptible() -> Iterator[None]:
    """What runs inside may be broken off at any point.

    Not with several ranks: the others would wait for this one.
    """
    before = _state.interruptible
    _state.interruptible = world_size() == 1 and not _state.held
    try:
        if _state.interruptible and _state.received is not None:
            raise Preempted(_state.received)
        yield
    finally:
        _state.interruptible = before


@contextmanager
def uninterruptible() -> Iterator[None]:
    """What runs inside is better finished: a checkpoint comes right after it."""
    _state.held = True
    try:
        yield
    finally:
        _state.held = False


def stop_if_told() -> None:
    """Stop, on all ranks when one was told to; collective.

    Raises:
        Preempted: A signal has come.
    """
    received = [number for number in gather(_state.received) if number is not None]
    if received:
        raise Preempted(received[0])


def _handle(number: int, frame: FrameType | None) -> None:
    # A second signal changes nothing: what the first one asked for is under way.
    if _state.received is not None:
        return
    _state.received = number
    _state.timer = threading.Timer(GRACE_SECONDS, _give_up, [number])
    _state.timer.daemon = True
    _state.timer.start()
    if _state.interruptible:
        _state.broken_off = True
        raise Preempted(number)
    if number == signal.SIGINT and starting_rank() == 0:
        # Not by print, in the middle of which the signal may have come.
        line = f"\nstopping after this update, in {GRACE_SECONDS:.0f} seconds at the latest\n"
        os.write(sys.__stderr__.fileno() if sys.__stderr__ else 2, line.encode())


def _give_up(number: int) -> None:
    name = SIGNALS[signal.Signals(number)]
    print(f"stopped by {name} before the end of an update; the last checkpoint stands", flush=True)
    sys.stderr.flush()
    os._exit(exit_status(number))


class StopWhenPreempted(Callback):
    """Ends the run where it can go on from: between two epochs.

    Between two updates the loader asks.
    """

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """See `on_train_start`; an evaluation may come before training and after it."""
        self.on_train_start(trainer, pl_module)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take the signal from Lightning, whose handler starts a collective operation."""
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, _handle)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """After an epoch's last update its end comes first, with its checkpoint."""
        stop_if_told()
