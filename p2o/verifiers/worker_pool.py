"""Worker processes with a deadline for each item, kept by killing the worker that misses it."""

import multiprocessing
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.util import Finalize
from types import ModuleType
from typing import Any

from p2o.errors import UserError
from p2o.verifiers.deadline import PATIENCE, Deadline
from p2o.verifiers.worker import READY, STOPPING, Failure, work

START_SECONDS = 120.0
"""A worker that has not come up after working as long never will."""
_STARTING = threading.Lock()


@dataclass
class _Worker:
    process: Any
    pipe: Connection
    deadline: Deadline
    done: int = 0
    item: int | None = None
    ready: bool = False


class KillablePool:
    """Runs a function on items in other processes. Neither a hang nor a crash gets out of it.

    No alarm signals are used, so it works in any thread, and in several at once: they wait for each
    other. Workers start when first needed, and anew after a kill or after `recycle` items.

    Args:
        function: ``module:name`` of what is called with one item; imported by the workers alone.
        workers: Processes.
        recycle: Items after which a worker is replaced, against leaks.
        memory: Bytes of address space that a worker may have; None for no bound.
        warm_up: Name, in the same module, of what a worker calls before its first item. It does
            what takes long once, importing a library say, and counts against no deadline.
        patience: Times its deadline an item may take by the clock; see `Deadline`.
    """

    def __init__(
        self,
        function: str,
        workers: int = 1,
        recycle: int = 5000,
        memory: int | None = None,
        warm_up: str | None = None,
        patience: float = PATIENCE,
    ) -> None:
        self.function, self.count, self.recycle, self.memory = function, workers, recycle, memory
        self.warm_up, self.patience = warm_up, patience
        self._turn = threading.Lock()
        self._workers: list[_Worker] = []
        # At exit multiprocessing waits for processes that it has sent SIGTERM, which these ignore.
        Finalize(self, _kill_all, (self._workers,), exitpriority=0)
        # A worker is told its parent's usual way of starting processes. In a job of joblib's that
        # is one of loky's, which a plain worker does not know.
        if multiprocessing.get_start_method() not in multiprocessing.get_all_start_methods():
            multiprocessing.set_start_method("spawn", force=True)
        self._context = multiprocessing.get_context("spawn")

    def map(self, items: Sequence[Any], seconds: float) -> list[Any]:
        """Results in order; `Failure` where an item took longer than `seconds` or broke its worker.

        What counts is what its worker does: processor time, and sleep. A worker's start does not.

        Raises:
            UserError: A worker does not start.
        """
        with self._turn:
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
            busy = [worker for worker in self._workers if _busy(worker)]
            wait([w.pipe for w in busy], min(worker.deadline.pause for worker in busy))
            for worker in busy:
                outcome = self._collect(worker)
                if outcome is _PENDING:
                    continue
                if worker.item is not None:
                    results[worker.item] = outcome
                    worker.item = None
                    left -= 1
                elif isinstance(outcome, Failure):
                    raise UserError(
                        f"a worker for {self.function} does not start: {outcome.reason}"
                    )
        return results

    def close(self) -> None:
        """End the workers."""
        _kill_all(self._workers)

    def _start(self) -> _Worker:
        pipe, end = self._context.Pipe()
        process = self._context.Process(
            target=work, args=(self.function, self.warm_up, end, self.memory), daemon=True
        )
        with _no_main_module(), _stopping_held():
            process.start()
        end.close()
        return _Worker(process, pipe, self._deadline(process, START_SECONDS))

    def _deadline(self, process: Any, seconds: float) -> Deadline:
        return Deadline([process.pid], seconds, self.patience)

    def _send(self, worker: _Worker, index: int, items: Sequence[Any], seconds: float) -> None:
        worker.item, worker.deadline = index, self._deadline(worker.process, seconds)
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
                if outcome == READY and not worker.ready:
                    worker.ready = True
                    return _PENDING
                if not worker.ready:
                    self._remove(worker)
                if worker.done >= self.recycle:
                    self._remove(worker)
                return outcome
        except (EOFError, OSError):
            # It has hung up: give it the time to end by itself, for its exit code.
            worker.process.join(1.0)
            self._remove(worker)
            return Failure(False, f"worker died with exit code {worker.process.exitcode}")
        if not worker.deadline.missed():
            return _PENDING
        self._remove(worker)
        return Failure(True, f"took more than {worker.deadline.seconds:g} seconds and was stopped")

    def _remove(self, worker: _Worker) -> None:
        _kill(worker)
        self._workers.remove(worker)


_PENDING = object()


def _busy(worker: _Worker) -> bool:
    return worker.item is not None or not worker.ready


def _kill(worker: _Worker) -> None:
    worker.process.kill()
    worker.pipe.close()


def _kill_all(workers: list[_Worker]) -> None:
    while workers:
        _kill(workers.pop())


@contextmanager
def _stopping_held() -> Iterator[None]:
    """Start workers deaf to `STOPPING`, until they ignore it."""
    # When it starts that process, it lets signals through again.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


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
