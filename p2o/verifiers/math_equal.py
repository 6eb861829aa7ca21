"""Equality of two mathematical answers by math-verify; imported in worker processes only."""

import logging
import re

from math_verify import parse, verify

# Deadlines are the pool's: math-verify's own alarms do nothing outside the main thread. It warns
# that they are off.
logging.getLogger("math_verify").setLevel(logging.ERROR)

TAIL = re.compile(r"(?<=\d)(?:\\?[ ,;!]*\\?%)?\.*\s*$")
"""A percent sign or full stop behind a number, which math-verify cannot read in a box."""


def math_equal(pair: tuple[str, str]) -> bool | None:
    """Whether gold and answer are equal; None when the answer cannot be parsed.

    Args:
        pair: (gold, answer), each LaTeX or plain, without a box.
    """
    gold, answer = (parse(f"\\boxed{{{TAIL.sub('', text)}}}", parsing_timeout=0) for text in pair)
    if not answer:
        return None
    return bool(verify(gold, answer, timeout_seconds=0))
