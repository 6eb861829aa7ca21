r"""The number that an answer line states, in digits, whatever words and units stand around it."""

import re
from decimal import Context
from fractions import Fraction
from itertools import pairwise

from p2o.verifiers.plain_text import to_plain

LONGEST = 400
"""Characters of an answer that are looked at; a longer number is none that a problem asks for."""
NEAR = 60
"""Characters before a number in which words about it are looked for."""
# Exact, so that long integers that differ in their last digit do; bounded, so that no exponent
# fills the memory: what is beyond is infinite, or 0.
BOUNDED = Context(prec=800, Emax=308, Emin=-308, traps=[])
ROUNDED = Fraction(1, 100)
"""Share by which the sides of an approximation may differ."""

SCALES = {
    **{"dozen": 12, "hundred": 100, "thousand": 10**3, "million": 10**6, "billion": 10**9},
    **{"trillion": 10**12, "lakh": 10**5, "crore": 10**7, "k": 10**3, "mn": 10**6, "bn": 10**9},
    **{"十": 10, "百": 100, "千": 10**3, "万": 10**4, "萬": 10**4, "亿": 10**8, "億": 10**8},
    **{"tenth": Fraction(1, 10), "hundredth": Fraction(1, 100), "thousandth": Fraction(1, 1000)},
}
SCALE = "|".join(sorted(SCALES, key=len, reverse=True))
CURRENCY = "$€£¥₹"
MONEY = re.compile(rf"(?<=[{CURRENCY}])(\s*[\d.,]+)\s?([MB])(?![a-zA-Z])")
NUMBER = re.compile(
    rf"""
    (?<![a-zA-Z\d_.,]) (?<!\d['/:])            # not the tail of a word or of another number
    (?:(?P<sign>[-+])\s*)? (?:[{CURRENCY}]\s*)? (?:(?P<late>-)\s*)?
    (?:(?P<whole>\d++)(?:\s+|\s+and\s+|-)(?=\d+\s*/\s*\d))?    # the 1 of 1 3/4
    (?P<value>
        \d{{1,3}}(?:,\d{{3}})++(?!\d)(?:\.\d++)?    # 1,234.5
      | \d{{1,3}}(?:\ \d{{3}})++(?!\d)(?:\.\d++)?   # 1 234.5
      | \d{{1,3}}(?:'\d{{3}})++(?!\d)(?:\.\d++)?    # 1'234.5
      | \d{{1,3}}(?:\.\d{{3}})++,\d++               # 1.234,5
      | \d++(?:[.,]\d++)? | \.\d++                  # 12, 12.5, 12,5, .5
    ) (?:\.(?!\d))?+
    (?:
        (?:[eE]|\s*[×x*]\s*10\s*\^\s*\{{?)
        (?P<exponent>[-+]?\d++)\}}?                 # 1e3, 1 × 10^3
      | \s*\^\s*\{{?(?P<power>[-+]?\d++)\}}?        # 10^3
    )?
    (?:\s*/\s*(?P<denominator>\d{{1,3}}(?:,\d{{3}})++(?!\d)|\d++(?:\.\d++)?))?    # 3/4
    (?P<scales>(?:[\s-]?(?:{SCALE})(?:s\b|(?![a-zA-Z])))*+)
    (?P<percent>\s*(?:%|per\s?cent\b|pct\b))?
    """,
    re.VERBOSE,
)
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
ASIDE = re.compile(r"(?<=[^\s+*/×÷^=-])\s+\([^()]*\)")
SENTENCE = re.compile(r"(?<=[.!?;])\s+|;|\n")
EQUAL_SIGN = re.compile(r"([=≈])")

BEFORE = re.compile(
    r"[+*/^×·÷√∛±<>≤≥≠¬_\\|][\s({]*$|\d\s*[:-]\s*$|[a-zA-Z)]\s*-\s*$|[\w)]\($|\\[a-zA-Z]+\s*\{?$"
    r"|\b(?:log|ln|sin|cos|tan|sqrt|exp|not|root\sof|factorial\sof)\s*\(?$",
    re.IGNORECASE,
)
"""What makes a number behind it a part of something else."""
BEHIND = re.compile(
    r"[\s)}]*(?:[+*/×·÷^±<>≤≥≠√π∞_\\|]\s*[\w({.\\√π∞]|[π√∞]|-\s*[\d(.]|:\s*\d|x\s*\d)|[!({]|[.,]\d"
    r"|\ ?(?:[xyzni]|[abcpqruvw](?=\W|$)(?<!\ .))(?![a-zA-Z])"
    r"|\s*(?:r(?:em(?:ainder)?)?\.?\s*\d|(?:or\s+(?:more|less|fewer)|if|unless|is\snot|isn't)\b)"
    r"|\s+(?!or\b|and\b|to\b)[a-zA-Z]+(?:\s+and)?\s+\d",
    re.IGNORECASE,
)
"""What makes a number before it a part of something else."""
LISTED = re.compile(r"[\s)}]*(?:,|;|&|\bor\b|\band\b|\bto\b|或)[\s({]*$")
START = re.compile(
    r"\W*(?:(?:about|approximately|approx|roughly|around|nearly|exactly|only|rs|usd)\b\W*)*",
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
    text = _written_plainly(text[:LONGEST])
    outside = ASIDE.sub("", text)
    text = outside if NUMBER.search(outside) else text
    sentence = next((one for one in SENTENCE.split(text) if NUMBER.search(one)), "")
    *parts, last = EQUAL_SIGN.split(sentence)
    values = [_stated(part, percent_as_hundredth) for part in (*parts[::2], last)]
    known = [value for value in values if value is not None]
    exact = "≈" not in parts[1::2]
    for left, right in pairwise(known):
        if abs(left - right) > (0 if exact else ROUNDED * max(abs(left), abs(right))):
            return None
    return known[-1] if known else None


def _written_plainly(text: str) -> str:
    text = MONEY.sub(lambda money: f"{money[1]} {'mn' if money[2] == 'M' else 'bn'}", text)
    text = FRACTION.sub(r" \1\2/\3\4 ", text).replace("{,}", ",")
    text = NAMES.sub(lambda name: MEANT[name[1]], to_plain(text)[: 2 * LONGEST])
    return re.sub(r"[ \t]+", " ", WRAPPERS.sub(" ", text))


def _stated(text: str, percent_as_hundredth: bool) -> Fraction | None:
    """The number that one side of an equation states."""
    found = list(NUMBER.finditer(text))
    if not found:
        return None
    match = _chosen(text, found)
    values = [_value(one, percent_as_hundredth) for one in _with_list(text, found, match)]
    if BEFORE.search(_head(text, match)) or BEHIND.match(text, match.end()):
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


def _value(match: re.Match[str], percent_as_hundredth: bool) -> Fraction | None:
    digits = re.sub(r"[ ']", "", match["value"])
    if digits.count(",") == 1 and not re.fullmatch(r"\d{1,3},\d{3}(?:\.\d+)?", digits):
        digits = digits.replace(".", "").replace(",", ".")
    value = _exact(f"{digits.replace(',', '')}e{match['exponent'] or 0}")
    denominator = _exact((match["denominator"] or "1").replace(",", ""))
    if value is not None and match["power"]:
        power = BOUNDED.power(BOUNDED.create_decimal(digits.replace(",", "")), int(match["power"]))
        value = Fraction(power) if power.is_finite() else None
    if value is None or not denominator:
        return None
    value = value / denominator + int(match["whole"] or 0)
    for scale in re.findall(SCALE, match["scales"]):
        value *= SCALES[scale]
    if percent_as_hundredth and match["percent"]:
        value /= 100
    return -value if "-" in (match["sign"], match["late"]) else value


def _exact(text: str) -> Fraction | None:
    number = BOUNDED.create_decimal(text)
    return Fraction(number) if number.is_finite() else None
