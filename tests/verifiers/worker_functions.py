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
    return value
