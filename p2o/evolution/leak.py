"""Whether a hint tells the answer."""

import re
from collections.abc import Sequence
from fractions import Fraction

from p2o.verifiers.math_words import spelled_number

TOKEN = re.compile(r"\d+(?:,\d{3})*(?:\.\d+)?|[^\W\d_]+|[^\w\s]")
"""A number, with commas between its thousands; a word; a sign."""
NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?")
LONGEST = 4
"""Words of a number that is spelled out."""


def tells(hint: str, golds: Sequence[str]) -> bool:
    """Whether a gold answer stands in a hint as a token, or as several in a row.

    A number is one in any spelling: ``1,000``, ``1000.0`` and "one thousand" are the same, and its
    sign does not count.

    Example::

        >>> [tells(hint, ["72"]) for hint in ("Add 7 and 2.", "It is 72.0!", "seventy-two clips")]
        [False, True, True]

    Args:
        hint: What was written.
        golds: All answers that are right.
    """
    there, numbers = _tokens(hint), _numbers(hint)
    for gold in golds:
        number = _number(gold.strip().lstrip("-+$ ").strip())
        if number is not None and number in numbers:
            return True
        tokens = _tokens(gold)
        places = range(len(there) - len(tokens) + 1)
        if tokens and any(there[place : place + len(tokens)] == tokens for place in places):
            return True
    return False


def _tokens(text: str) -> list[str]:
    return [token.casefold() for token in TOKEN.findall(text)]


def _number(text: str) -> Fraction | None:
    if NUMBER.fullmatch(text):
        return Fraction(text.replace(",", ""))
    return spelled_number(text)


def _numbers(text: str) -> set[Fraction]:
    """All numbers in a text, in digits or in words."""
    found = {
        Fraction(token.replace(",", "")) for token in TOKEN.findall(text) if token[0].isdecimal()
    }
    words = re.findall(r"[^\W\d_]+", text)
    for start in range(len(words)):
        for size in range(1, LONGEST + 1):
            number = spelled_number(" ".join(words[start : start + size]))
            if number is not None:
                found.add(number)
    return found
