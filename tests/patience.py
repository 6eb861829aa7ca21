"""How long tests wait for what may never end; nothing else in them depends on the time."""

import time
from collections.abc import Callable

HANGS = 1800.0
"""Seconds after which a process hangs, however busy the machine."""


def within(seconds: float, work: Callable[[], object]) -> bool:
    """Whether one of three tries takes this thread less; garbage may be collected in another."""
    for _ in range(3):
        started = time.thread_time()
        work()
        if time.thread_time() - started < seconds:
            return True
    return False
