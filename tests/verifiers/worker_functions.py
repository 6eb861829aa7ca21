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


def math_verify_alone(pair):
    """Whether two answers are equal to math-verify without any rule of ours."""
    import logging

    from math_verify import parse, verify

    logging.disable(logging.WARNING)

    gold, answer = (parse(f"\\boxed{{{text}}}", parsing_timeout=0) for text in pair)
    return bool(verify(gold, answer, timeout_seconds=0))
