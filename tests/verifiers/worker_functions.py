"""What the workers of these tests do."""

import os
import time


def act(item):
    kind, value = item
    if kind == "sleep":
        time.sleep(value)
    if kind == "exit":
        os._exit(value)
    if kind == "raise":
        raise ValueError(value)
    if kind == "pid":
        return os.getpid()
    if kind == "allocate":
        return len(bytes(value))
    if kind == "loaded":
        return len(loads)
    if kind == "pin":
        os.sched_setaffinity(0, {value})
    if kind == "work":
        until(time.process_time() + value, pause=0)
    if kind == "nap":
        until(value, pause=0.02)
    return value


def until(end, pause):
    while time.process_time() < end:
        time.sleep(pause) if pause else None


loads = []


def load():
    until(time.process_time() + 0.5, pause=0)
    loads.append(1)


def fail():
    raise OSError("no such\nlibrary")
