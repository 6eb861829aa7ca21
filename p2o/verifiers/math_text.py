r"""The text of a mathematical answer: what is rewritten before it is read as LaTeX."""

import re
from collections.abc import Sequence

from p2o.verifiers.math_rules import ATOM, DEGREE, TABLE, TRIGONOMETRIC, joined
from p2o.verifiers.math_unicode import to_ascii
from p2o.verifiers.math_words import GROUP

STOPS = " .,;:\t"
RULES = [(re.compile(pattern, re.DOTALL), replacement) for pattern, replacement in TABLE]
# Thousands, unless they may be elements of something in brackets.
THOUSANDS = (
    re.compile(r"(?<![\d,(\[{.])\d{1,3}(?:,\d{3})+(?![\d)\]},])"),
    re.compile(r"(?<![\d.])\d{1,3}(?: \d{3})+(?![\d ])"),
)

MIXED = re.compile(r"(-?\d{1,30})\s?and\s?(\\[dt]?frac\s?(?:\d\s?\d|\{\d+\}\s?\{\d+\})|\d+/\d+)")

DEEPEST = 15
"""Brackets within brackets; the parser's time doubles with each."""
MOST_BARS = 24
TOWER = re.compile(r"(?:\^[\s{]{0,3}\\?\w{1,12}[\s}]{0,3}){12}")
"""Powers of powers; the parser's time doubles with each, too."""
INDICES = re.compile(r"(?:_[\s{]{0,3}\\?\w{1,12}?[\s}]{0,3}){6}")
"""Indices of indices, likewise."""
MOST_MEMBERS = 40
"""Equal signs; each member of a chain is read."""
BRACKET = re.compile(r"(?<!\\)(?:\\[{}]|[{}()\[\]])")


def clean(text: str) -> str:
    r"""One way to write what can be written in several.

    Example::

        >>> [clean(text) for text in (r"$10\,080$.", r"\left(1,2\right)", r"5~\mathrm{km}")]
        ['10 080', '(1,2)', '5 \\mathrm{km}']
    """
    text = to_ascii(text).strip().strip('"')
    # One stop; three are a decimal that goes on.
    text = text[:-1] if text.endswith((".", ",", ";")) and text[-2:-1] != "." else text
    if TRIGONOMETRIC.search(text):
        text = re.sub(rf"({ATOM}){DEGREE}", r"(\\frac{\\pi \1}{180})", text)
    for pattern, replacement in RULES:
        text = pattern.sub(replacement, text)
    return text.lstrip(" =:").rstrip(STOPS)


def readings(text: str) -> Sequence[str]:
    """What a cleaned text can mean.

    10,080 and 10 080 are one number, and 40,200 could also be a list of two; "2 and 1/2" may be one
    number or two.
    """
    number = text
    for pattern in THOUSANDS:
        number = pattern.sub(joined, number)
    found = [number]
    mixed = MIXED.fullmatch(text)
    if mixed:
        found.append(f"{mixed[1]} {mixed[2]}")
    if number != text and not re.search(r",0|\d \d", text):
        found.append(text)
    return found


def squeeze(text: str) -> str:
    """Text whose spelling is compared: without delimiters, type, and space that says nothing."""
    text = to_ascii(text)
    for pattern, replacement in LAYOUT:
        text = pattern.sub(replacement, text)
    return LEADING.sub("", text.rstrip(STOPS))


LEADING = re.compile(rf"^(?:(?!\.\d)[{STOPS}])+")
"""Stops in front, but for the point of a decimal."""
LAYOUT = (
    (re.compile(r"\\?\$|(?<!\\)\\[()\[\]!]|\\(?:left|right)\s?\.?(?![a-zA-Z])"), ""),
    (re.compile(r"(?<!\\)\\[,;: ]|~|\\q?quad(?![a-zA-Z])|[\s\x00-\x1f]+"), " "),
    (re.compile(r"\\(?:le|leqslant)(?![a-zA-Z])"), r"\\leq"),
    (re.compile(r"\\(?:ge|geqslant)(?![a-zA-Z])"), r"\\geq"),
    (re.compile(r"\\[dt]frac(?![a-zA-Z])"), r"\\frac"),
    (GROUP, r"\1"),
    (re.compile(r" +"), " "),
    (re.compile(r" (?![\w])|(?<![\w]) |(?<=\d) (?=[a-zA-Z])"), ""),
    (re.compile(r"(?<![\\a-zA-Z])[a-zA-Z]{4,}"), lambda match: match[0].casefold()),
)


def is_sound(text: str) -> bool:
    """Whether braces are balanced, and brackets, bars and powers no more than the parser bears."""
    bars = text.count("|") + len(re.findall(r"\\[lr]?[vV]ert", text))
    if bars > MOST_BARS or text.count("=") > MOST_MEMBERS:
        return False
    if TOWER.search(text) or INDICES.search(text):
        return False
    braces = depth = 0
    for bracket in BRACKET.findall(text):
        step = 1 if bracket[-1] in "{([" else -1
        depth = max(0, depth + step)
        braces += step if bracket in ("{", "}") else 0
        if braces < 0 or depth > DEEPEST:
            return False
    return braces == 0
