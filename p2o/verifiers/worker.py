"""What a worker process of a pool does."""

import importlib
import multiprocessing
import os
import resource
import signal
import threading
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait

STOPPING = {signal.SIGINT, signal.SIGTERM}
"""Signals for the main process, which finishes what it is at and then ends its workers. A terminal,
``timeout`` and schedulers send them to all processes alike, and an item whose worker dies has no
verdict."""
READY = "ready"
"""What a worker sends first; else a `Failure`."""


@dataclass(frozen=True)
class Failure:
    """What an item gets instead of a result.

    Attributes:
        timeout: Whether it missed its deadline; else the worker died or raised.
        reason: One line.
    """

    timeout: bool
    reason: str


def work(function: str, warm_up: str | None, pipe: Connection, memory: int | None) -> None:
    """Call a function on what comes through a pipe, and send back what it gives.

    Args:
        function: See `p2o.verifiers.worker_pool.KillablePool`.
        warm_up: Likewise.
        pipe: To the main process.
        memory: See `p2o.verifiers.worker_pool.KillablePool`.
    """
    if memory is not None:
        _, most = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (memory, most))
    for number in STOPPING:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)
    # A killed main process cannot end a worker that hangs.
    threading.Thread(target=_end_with_parent, daemon=True).start()
    module, _, name = function.partition(":")
    try:
        found = importlib.import_module(module)
        call = getattr(found, name)
        if warm_up is not None:
            getattr(found, warm_up)()
    except Exception as error:  # The main process says it in one line.
        pipe.send(_failure(error))
        return
    pipe.send(READY)
    while True:
        try:
            item = pipe.recv()
        except EOFError:
            return
        try:
            result = call(item)
        except Exception as error:  # Whatever it is, this item failed and no other.
            result = _failure(error)
        pipe.send(result)


def _failure(error: Exception) -> Failure:
    return Failure(False, " ".join(f"{type(error).__name__}: {error}".split())[:300])


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)
