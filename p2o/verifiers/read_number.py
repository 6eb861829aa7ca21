r"""The number that an answer line states, in digits, whatever words and units stand around it."""

import re
from fractions import Fraction
from itertools import pairwise

from p2o.verifiers.equation_sides import arithmetic_value, is_name, restrains_unknown
from p2o.verifiers.number_context import is_denied, is_part_of_more
from p2o.verifiers.number_forms import NUMBER, value_of
from p2o.verifiers.number_spelling import written_plainly

NEAR = 60
"""Characters before a number in which words about it are looked for."""
ROUNDED = Fraction(1, 100)
"""Share by which the sides of an approximation may differ."""

ASIDE = re.compile(r"(?<=[^\s+*/×÷^=,;-])\s+\((?!\s*(?:or|mod|modulo)\b)([^()]*)\)")
PLACE = re.compile(r"^(\W*)<([^<>=]+)>(?=\W*$)")
"""The brackets of a place that was to be filled in."""
REASON = re.compile(
    r",?\s(?:because|since)\s.*|,\s(?:which|where)\s(?!(?:is|are|equals|gives|makes)\s\W?\d)[^=]*$"
)
SENTENCE = re.compile(r"(?<=[.!?;])\s+(?!=)|;|\n")
EQUAL_SIGN = re.compile(r"([=≈])")
BARE = re.compile(
    rf"(?:[^\w.$-]|\b(?:no|oh|or|wait|sorry|actually|rather|it\s+is)\b)*{NUMBER.pattern}[\W_]*",
    re.VERBOSE | re.IGNORECASE,
)
"""A sentence that is nothing but a number, and so takes back another one."""

LISTED = re.compile(
    r"[\s)}]*\(?(?:(?<=\()|\bthen\b|,(?:\s*then\b)?|;|&|\bor\b|\band\b|\bto\b|或)[\s({]*$"
)
START = re.compile(
    r"\W*(?:(?:about|approximately|approx|roughly|around|exactly|only|rs|usd)\b\W*)*",
    re.IGNORECASE,
)
"""What may stand before a number at the start."""
COPULA = re.compile(
    r"(?:\b(?:is|are|was|were|be|equals|equal\s+to|est|es|ist)|是|为|為|:)\s*"
    r"(?:(?:therefore|thus|about|approximately|exactly|only|simply|just|then|therefore)\s+)*\W{0,3}$",
    re.IGNORECASE,
)
SIDE = re.compile(
    r"\b(?:the|these|those|all|both|every|each|other|in|after|for|with|of|from|by|at|on|per|within"
    r"|among|over|before|than|not|\w+n't)\s*$",
    re.IGNORECASE,
)
"""Words before a number that is seldom what is asked for, if there is another one."""


def read_number(text: str, percent_as_hundredth: bool = False) -> Fraction | None:
    """The number that a text states; None when it states none, several, or one that is not finite.

    Of an equation it is the sides that are numbers, if they are equal. Of a sentence it is the
    number at its start or behind "is", else the first that no "the" or "of" introduces. A number
    that is part of something else, of ``3x``, ``2 + 1`` or ``3:30``, is none.

    Example::

        >>> [str(read_number(text)) for text in ("about $1,234.50 each", "3/4", "none")]
        ['2469/2', '3/4', 'None']
    """
    text = PLACE.sub(r"\1\2", written_plainly(text))
    text = _if_any(
        ASIDE.sub(
            lambda aside: aside[0] if is_denied(aside[1]) or BARE.fullmatch(aside[1]) else "", text
        ),
        text,
    )
    *_, concluded = text.split("⇒")
    text = concluded if "=" in concluded else text
    sentences = [one for one in SENTENCE.split(text) if NUMBER.search(one)]
    if not sentences:
        return None
    value = _of_sentence(sentences[0], percent_as_hundredth)
    others = [_stated(one, percent_as_hundredth) for one in sentences[1:] if BARE.fullmatch(one)]
    return value if all(other == value for other in others) else None


def _of_sentence(sentence: str, percent_as_hundredth: bool) -> Fraction | None:
    """The number that a sentence states, which may be an equation."""
    if is_denied(NUMBER.sub("", sentence)):
        return None
    *parts, last = EQUAL_SIGN.split(_if_any(REASON.sub("", sentence), sentence))
    sides = [*parts[::2], last]
    bare = [NUMBER.sub("0", side) for side in sides]
    if len(sides) > 1 and any(map(restrains_unknown, bare)) and not any(map(is_name, bare)):
        return None
    values = [_stated(side, percent_as_hundredth) for side in sides]
    exact = "≈" not in parts[1::2]
    alone = [value for side, value in zip(sides, values, strict=True) if _is_alone(side)]
    known = [value for value in alone if value is not None]
    for left, right in pairwise(known):
        if abs(left - right) > (0 if exact else ROUNDED * max(abs(left), abs(right))):
            return None
    sums = [arithmetic_value(side) for side in sides if not _is_alone(side)]
    for result in (found for found in sums if found is not None and known):
        exactly = exact and result.denominator == 1
        if abs(result - known[-1]) > (0 if exactly else ROUNDED * abs(result)):
            return None
    return values[-1] if values[-1] is not None else known[-1] if known else None


def _if_any(shorter: str, text: str) -> str:
    """The shorter text if there is a number in it."""
    return shorter if NUMBER.search(shorter) else text


def _is_alone(side: str) -> bool:
    """Whether a side of an equation is nothing but a number, and so equal to the others."""
    first, *others = NUMBER.finditer(side) if NUMBER.search(side) else [None]
    return first is not None and not others and bool(START.fullmatch(side[: first.start()]))


def _stated(text: str, percent_as_hundredth: bool) -> Fraction | None:
    """The number that one side of an equation states."""
    found = list(NUMBER.finditer(text))
    if not found:
        return None
    match = _chosen(text, found)
    values = [value_of(one, percent_as_hundredth) for one in _with_list(text, found, match)]
    if is_part_of_more(_head(text, match), text[match.end() :]):
        return None
    return values[0] if values.count(values[0]) == len(values) else None


def _chosen(text: str, found: list[re.Match[str]]) -> re.Match[str]:
    """The number that is meant, of all in a text."""
    if START.fullmatch(text[: found[0].start()]):
        return found[0]
    behind = [match for match in found if COPULA.search(_head(text, match))]
    if behind:
        return behind[-1]
    return next((match for match in found if not SIDE.search(_head(text, match))), found[-1])


def _head(text: str, match: re.Match[str]) -> str:
    """The words before a number."""
    return text[max(0, match.start() - NEAR) : match.start()]


def _with_list(text: str, found: list[re.Match[str]], match: re.Match[str]) -> list[re.Match[str]]:
    """A number with those that are listed behind it or before it."""
    place = found.index(match)
    first = last = place
    while last + 1 < len(found) and LISTED.fullmatch(
        text[found[last].end() : found[last + 1].start()]
    ):
        last += 1
    while first > 0 and LISTED.fullmatch(text[found[first - 1].end() : found[first].start()]):
        first -= 1
    return found[first : last + 1]
