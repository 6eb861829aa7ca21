"""Verdicts of math-verify as it comes; imported in worker processes only."""

import logging
from collections.abc import Sequence
from functools import partial
from typing import Any

import math_verify

from p2o.verifiers.math_compare import Verdict
from p2o.verifiers.math_verify_alone import Judged

# Deadlines are the pool's. The library warns that its own, which are alarms, are off.
logging.getLogger("math_verify").setLevel(logging.ERROR)
# Its types deny that there may be no alarm.
_library: Any = math_verify
parse = partial(_library.parse, parsing_timeout=None)
verify = partial(_library.verify, timeout_seconds=None)


def judge(item: tuple[Sequence[str], str]) -> Judged:
    """Compare a response with gold answers."""
    golds, response = item
    answer = parse(response)
    if not answer:
        return None, ""
    known = [parse(f"\\boxed{{{gold}}}") for gold in golds]
    if not any(known):
        return Verdict.BAD_GOLD, str(answer[-1])
    equal = any(verify(gold, answer) for gold in known)
    return Verdict.EQUAL if equal else Verdict.UNEQUAL, str(answer[-1])


# The first comparison loads what the library loads late. A worker's start has no deadline.
judge((("\\frac{1}{2}+x",), "\\boxed{x+0.5}"))
