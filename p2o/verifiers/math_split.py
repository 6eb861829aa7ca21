r"""Where an answer is divided: at signs outside all brackets, in time linear in its length."""

import re
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise

BRACKET = re.compile(r"\\(?:begin|end|left|right)(?![a-zA-Z])|\\[{}|]|\\.|[{}()\[\]]", re.DOTALL)
OPENING = {"{", "(", "[", r"\{", r"\begin"}
CLOSING = {"}", ")", "]", r"\}", r"\end"}
LIST = re.compile(r"[,;]|(?<![\w\\])(?:and|or)(?!\w)|(?<=\}) *\\\\(?= *\S)")
EQUAL_SIGN = re.compile(r"(?<![<>!:\\])=(?!=)|\\(?:approx|simeq|doteq)(?![a-zA-Z])")
RELATION = re.compile(
    r"\\(?:leqslant|geqslant|leq|geq|le|ge|lt|gt|neq|ne|in|notin|equiv|subset)(?![a-zA-Z])"
    r"|<=|>=|!=|[<>]"
)
PAIRS = {"(": ")", "[": "]", r"\{": r"\}", "{": "}"}


@lru_cache(maxsize=1000)
def _depths(text: str) -> list[tuple[int, int]]:
    """Positions at which the depth of brackets changes, and the depth from there on."""
    depth, changes = 0, [(0, 0)]
    for bracket in BRACKET.finditer(text):
        step = (bracket[0] in OPENING) - (bracket[0] in CLOSING)
        depth = max(0, depth + step)
        if step:
            changes.append((bracket.end() if step < 0 else bracket.start(), depth))
    return changes


def outside(text: str, pattern: re.Pattern[str]) -> list[tuple[int, int]]:
    """Spans of the matches that are in no bracket."""
    changes, at, found = _depths(text), 0, []
    for match in pattern.finditer(text):
        while at + 1 < len(changes) and changes[at + 1][0] <= match.start():
            at += 1
        if changes[at][1] == 0:
            found.append(match.span())
    return found


def split(text: str, pattern: re.Pattern[str]) -> list[str]:
    """Parts of the text between the matches that are in no bracket, without space around them."""
    edges = [0, *(edge for span in outside(text, pattern) for edge in span), len(text)]
    return [text[start:end].strip() for start, end in list(pairwise(edges))[::2]]


def bracket(text: str) -> str:
    r"""The opening bracket that is closed at the very end: ``(``, ``[``, ``\{`` or none."""
    text = text.strip()
    opening = text[:2] if text.startswith(r"\{") else text[:1]
    closing = PAIRS.get(opening)
    if closing is None or not text.endswith(closing) or len(text) < len(opening) + len(closing):
        return ""
    inside = text[len(opening) : -len(closing)]
    depth = 0
    for match in BRACKET.finditer(inside):
        depth += (match[0] in OPENING) - (match[0] in CLOSING)
        if depth < 0:
            return ""
    return opening if depth == 0 else ""


def inside(text: str) -> str:
    """The text without the brackets around all of it."""
    opening = bracket(text)
    return text.strip()[len(opening) : -len(PAIRS[opening])].strip() if opening else text.strip()


def elements(text: str) -> list[str]:
    """Elements of a list, without empty ones."""
    return [part for part in split(text, LIST) if part]


def both_signs(text: str) -> Sequence[str]:
    r"""What ``\pm`` and ``\mp`` stand for, in brackets or not; the text itself without them.

    Example::

        >>> both_signs(r"1 \pm x")
        ('1 + x', '1 - x')
    """
    if not re.search(r"\\[pm][pm](?![a-zA-Z])", text):
        return (text,)
    plus, minus = (
        re.sub(r"\\(pm|mp)(?![a-zA-Z])", lambda sign, signs=signs: signs[sign[1]], text)
        for signs in ({"pm": "+", "mp": "-"}, {"pm": "-", "mp": "+"})
    )
    return plus, minus
