"""What the workers of the pool's tests do."""

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
    return value
