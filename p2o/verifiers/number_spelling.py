r"""One spelling for signs, relations, fractions and amounts of money around a number."""

import re

from p2o.verifiers.number_forms import CURRENCY
from p2o.verifiers.plain_text import to_plain

LONGEST = 400
"""Characters of an answer that are looked at; a longer number is none that a problem asks for."""
MONEY = re.compile(rf"((?<=[{CURRENCY}])\s*[\d.,]+\s?|(?<![\w.,])[\d.,]*\d)([MB])(?![a-zA-Z])")
POWER = re.compile(r"(?<=[\d)])\s?\*\*\s?(?=[\d(-])")
MINUS = re.compile(
    rf"\b(?:minus|negative)\s+(?=[{CURRENCY}\\(]*[\d.])|-\s?(?:USD|EUR|GBP|Rs\.?)\s?(?=\d)",
    re.IGNORECASE,
)
LONG_DASH = re.compile(rf"(^|[=≈:(])\s*\u2014\s?(?=[{CURRENCY}]?\s?[\d.])")
RELATIONS = (
    (re.compile(r"\\not\s*=|\\not\s*\\(?:approx|simeq)|=\s?/\s?=|!=|/=|<>"), "≠"),
    (re.compile(r">\s?="), "≥"),
    (re.compile(r"<\s?="), "≤"),
    (re.compile(r"\+\s?/?\s?-(?=\s?[\d.])"), "±"),
    (re.compile(r"==+(?!>)"), "="),
    (re.compile(r"[=-]+>|\\(?:Rightarrow|implies)(?![a-zA-Z])"), "⇒"),
    (re.compile(r",?\s(?:so|thus|hence|then|therefore)\s(?=[^=]*=)"), "⇒"),
)
"""Spellings of a relation in several signs, and the sign."""
FRACTION = re.compile(r"\\[dtc]?frac\s*(?:\{([^{}]*)\}|(\d))\s*(?:\{([^{}]*)\}|(\d))")
WRAPPERS = re.compile(
    r"\\(?:boxed|text\w*|math\w+|left|right|big\w*|displaystyle|quad)(?![a-zA-Z])|\\[,;:! ()\[\]]"
    r"|\*\*+|(?<![\w)\s])\*|\*(?![\w(\s])|__+|[`~#]|\$(?!\s*-?[\d.])"
)
NAMES = re.compile(
    r"\\(approx|simeq|times|cdot|pm|div|%|\$|circ|degree|lt|gt|leq?|geq?|neq?)(?![a-z])"
)
MEANT = {
    **{"approx": "≈", "simeq": "≈", "times": "×", "cdot": "×", "pm": "±", "div": "÷", "%": "%"},
    **{"$": "$", "circ": "°", "degree": "°", "lt": "<", "gt": ">"},
    **{"leq": "≤", "le": "≤", "geq": "≥", "ge": "≥", "neq": "≠", "ne": "≠"},
}
DEGREES = re.compile(r"\^\s*\{?\s*°\s*\}?")
GROUPED = re.compile(r"(?<=\d)_(?=\d{3}(?!\d))")


def written_plainly(text: str) -> str:
    r"""The start of an answer with one spelling for each sign and no markup.

    Example::

        >>> written_plainly(r"\(x \ne minus 5\)").split()
        ['x', '≠', '-5']
    """
    text = GROUPED.sub("", _cut(text, LONGEST))
    text = MONEY.sub(lambda money: f"{money[1]} {'mn' if money[2] == 'M' else 'bn'}", text)
    text = _cut(to_plain(LONG_DASH.sub(r"\1-", text)), 2 * LONGEST)
    text = POWER.sub("^", FRACTION.sub(r" \1\2/\3\4 ", text).replace("{,}", ","))
    for spelling, sign in RELATIONS:
        text = spelling.sub(sign, text)
    text = MINUS.sub("-", NAMES.sub(lambda name: MEANT[name[1]], text))
    return re.sub(r"[ \t]+", " ", WRAPPERS.sub(" ", DEGREES.sub("°", text)))


def _cut(text: str, length: int) -> str:
    """The start of a text, without a word that the cut would go through."""
    return text if len(text) <= length else re.sub(r"\S+\Z", "", text[: length + 1])
