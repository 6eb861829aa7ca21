"""Worker processes with a deadline for each item, kept by killing the worker that misses it."""

import importlib
import multiprocessing
import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from types import ModuleType
from typing import Any

START_SECONDS = 120.0
"""A worker that has not come up by then never will."""
_STARTING = threading.Lock()


@dataclass(frozen=True)
class Failure:
    """What an item gets instead of a result.

    Attributes:
        timeout: Whether it missed its deadline; else the worker died or raised.
        reason: One line.
    """

    timeout: bool
    reason: str


@dataclass
class _Worker:
    process: Any
    pipe: Connection
    done: int = 0
    item: int | None = None
    deadline: float = 0.0
    ready: bool = False


class KillablePool:
    """Runs a function on items in other processes. Neither a hang nor a crash gets out of it.

    No alarm signals are used, so it works in any thread. Workers start when first needed, and anew
    after a kill or after `recycle` items.

    Args:
        function: ``module:name`` of what is called with one item; imported by the workers alone.
        workers: Processes.
        recycle: Items after which a worker is replaced, against leaks.
        memory: Bytes of address space that a worker may have; None for no bound.
    """

    def __init__(
        self, function: str, workers: int = 1, recycle: int = 5000, memory: int | None = None
    ) -> None:
        self.function, self.count, self.recycle, self.memory = function, workers, recycle, memory
        self._context = multiprocessing.get_context("spawn")
        self._workers: list[_Worker] = []

    def map(self, items: Sequence[Any], seconds: float) -> list[Any]:
        """Results in order; `Failure` where an item took longer than `seconds` or broke its worker.

        A worker's start does not count against the deadline.
        """
        try:
            return self._map(items, seconds)
        finally:
            # Left by an exception, Ctrl-C say: the next call must not get this one's results.
            for worker in [w for w in self._workers if w.item is not None]:
                self._remove(worker)

    def _map(self, items: Sequence[Any], seconds: float) -> list[Any]:
        results: list[Any] = [None] * len(items)
        waiting = list(range(len(items)))[::-1]
        left = len(items)
        while left:
            while len(self._workers) < min(self.count, left):
                self._workers.append(self._start())
            for worker in self._workers:
                if worker.ready and worker.item is None and waiting:
                    self._send(worker, waiting.pop(), items, seconds)
            now = time.monotonic()
            nearest = min(worker.deadline for worker in self._workers if _busy(worker))
            wait([w.pipe for w in self._workers if _busy(w)], max(0.0, nearest - now))
            for worker in list(self._workers):
                if not _busy(worker):
                    continue
                outcome = self._collect(worker)
                if outcome is _PENDING:
                    continue
                if worker.item is not None:
                    results[worker.item] = outcome
                    worker.item = None
                    left -= 1
                elif isinstance(outcome, Failure):
                    raise RuntimeError(f"verifier worker does not start: {outcome.reason}")
        return results

    def close(self) -> None:
        """End the workers."""
        for worker in self._workers:
            _kill(worker)
        self._workers = []

    def _start(self) -> _Worker:
        pipe, end = self._context.Pipe()
        process = self._context.Process(
            target=_work, args=(self.function, end, self.memory), daemon=True
        )
        with _no_main_module():
            process.start()
        end.close()
        return _Worker(process, pipe, deadline=time.monotonic() + START_SECONDS)

    def _send(self, worker: _Worker, index: int, items: Sequence[Any], seconds: float) -> None:
        worker.item, worker.deadline = index, time.monotonic() + seconds
        worker.done += 1
        try:
            worker.pipe.send(items[index])
        except OSError:
            # The worker is dead; collecting will say so.
            return

    def _collect(self, worker: _Worker) -> Any:
        """A result, a `Failure`, or `_PENDING`; takes broken and worn-out workers out."""
        try:
            if worker.pipe.poll():
                outcome = worker.pipe.recv()
                if not worker.ready:
                    worker.ready = True
                    return _PENDING
                if worker.done >= self.recycle:
                    self._remove(worker)
                return outcome
        except (EOFError, OSError):
            # It has hung up: give it the time to end by itself, for its exit code.
            worker.process.join(1.0)
            self._remove(worker)
            return Failure(False, f"worker died with exit code {worker.process.exitcode}")
        if time.monotonic() < worker.deadline:
            return _PENDING
        self._remove(worker)
        return Failure(True, "took too long and was stopped")

    def _remove(self, worker: _Worker) -> None:
        _kill(worker)
        self._workers.remove(worker)


_PENDING = object()


def _busy(worker: _Worker) -> bool:
    return worker.item is not None or not worker.ready


def _kill(worker: _Worker) -> None:
    worker.process.kill()
    worker.pipe.close()


@contextmanager
def _no_main_module() -> Iterator[None]:
    """Keep `spawn` from importing the main program, and torch with it, into each worker."""
    with _STARTING:
        main = sys.modules["__main__"]
        sys.modules["__main__"] = ModuleType("__main__")
        try:
            yield
        finally:
            sys.modules["__main__"] = main


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)


def _work(function: str, pipe: Connection, memory: int | None) -> None:
    if memory is not None:
        _, most = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (memory, most))
    # Ctrl-C is for the main process, which ends its workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # A killed main process cannot end a worker that hangs.
    threading.Thread(target=_end_with_parent, daemon=True).start()
    module, _, name = function.partition(":")
    call = getattr(importlib.import_module(module), name)
    pipe.send("ready")
    while True:
        try:
            item = pipe.recv()
        except EOFError:
            return
        try:
            result = call(item)
        except Exception as error:  # Whatever it is, this item failed and no other.
            result = Failure(False, f"{type(error).__name__}: {error}"[:300])
        pipe.send(result)
