"""Programs side by side on this machine."""

import os
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

PAUSE_SECONDS = 0.2
"""Between two looks at what is running."""


@dataclass(frozen=True)
class Task:
    """A program to run.

    Attributes:
        name: As it is called in messages.
        arguments: Of this Python.
        log: Where its output goes, behind what is there already.
    """

    name: str
    arguments: Sequence[str]
    log: Path


def cores() -> int:
    """How many cores this process may use, of those that the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def run_side_by_side(
    tasks: Sequence[Task], at_once: int, ended: Callable[[Task, int, float], None]
) -> None:
    """Run programs, so many at a time, and go on when one fails.

    Whatever ends this, a signal as well, first lets those that are running save and end.

    Args:
        tasks: What to run, in this order.
        at_once: How many at a time; they share the cores evenly.
        ended: Called with each task that has ended, its exit status and its seconds.
    """
    waiting, running = deque(tasks), dict[subprocess.Popen, tuple[Task, float]]()
    threads = max(1, cores() // at_once)
    try:
        while waiting or running:
            while waiting and len(running) < at_once:
                task = waiting.popleft()
                running[_start(task, threads)] = task, time.monotonic()
            over = [process for process in running if process.poll() is not None]
            for process in over:
                task, since = running.pop(process)
                ended(task, process.returncode, time.monotonic() - since)
            if not over:
                time.sleep(PAUSE_SECONDS)
    finally:
        for process in running:
            process.terminate()
        for process in running:
            process.wait()


def _start(task: Task, threads: int) -> subprocess.Popen:
    task.log.parent.mkdir(parents=True, exist_ok=True)
    with task.log.open("a") as log:
        return subprocess.Popen(
            [sys.executable, *task.arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, "OMP_NUM_THREADS": str(threads)},
        )


def last_line(log: Path) -> str:
    """The last line of a program's output that says something."""
    text = log.read_text(errors="replace") if log.is_file() else ""
    return (text.strip().splitlines() or ["no output"])[-1].strip()
