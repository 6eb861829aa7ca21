"""How a run ends that has started other ranks: it says why, whatever they do meanwhile."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from subprocess import Popen
from typing import Any

from lightning.pytorch import Trainer

from p2o.errors import PeerError

SECONDS = 2.0
"""How long a rank that was killed may take to be known as ended."""


@contextmanager
def leading(trainer: Trainer) -> Iterator[None]:
    """End the ranks that this one has started when it fails, after it has learned what is wrong.

    Ranks that torchrun or SLURM has started are ended by these.

    Raises:
        PeerError: A connection between ranks broke since one of them has ended.
    """
    try:
        yield
    except BaseException as error:
        let_others_end(trainer)
        if not isinstance(error, Exception):
            raise
        # What a broken connection between ranks gives.
        lost = _lost_rank(trainer) if isinstance(error, RuntimeError) else None
        # They may wait for this rank in a collective operation.
        for process in _started(trainer):
            process.kill()
        if lost is not None:
            raise PeerError(lost) from error
        raise


def let_others_end(trainer: Trainer) -> None:
    """Let this rank go on to its end after the ranks that it has started have ended with an error.

    Lightning looks at them every five seconds, and once one has failed it kills all, this one
    included, which may be about to save or to say what has happened. While all are at work that is
    right: this rank may wait for the one that has ended.
    """
    launcher: Any = trainer.strategy.launcher
    started = _started(trainer)
    if started:
        # Lightning looks at the list that it was given; an empty one it lets be.
        launcher.procs = list(started)
        started.clear()


def _started(trainer: Trainer) -> list[Popen[bytes]]:
    return getattr(trainer.strategy.launcher, "procs", [])


def _lost_rank(trainer: Trainer) -> str | None:
    """How a rank that this one has started has ended, in words; None where all are at work.

    When one is killed, the others hear of a broken connection, perhaps before the kernel says why.
    """
    started = _started(trainer)
    patience = time.monotonic() + SECONDS
    while started and time.monotonic() < patience:
        for number, process in enumerate(started, 1):
            if process.poll():
                code = process.returncode
                how = f"was ended by signal {-code}" if code < 0 else f"ended with status {code}"
                return f"rank {number} {how}"
        time.sleep(0.1)
    return None
