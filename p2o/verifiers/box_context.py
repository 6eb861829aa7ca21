r"""What stands around a box and makes it a part of something else, as in ``2\boxed{5}``.

The text is that of a formula or a sentence, so a sign counts only together with what it joins.
"""

import re

from p2o.verifiers.denials import is_denied_before
from p2o.verifiers.math_unicode import to_ascii
from p2o.verifiers.math_unit_table import UNITS
from p2o.verifiers.math_words import GROUP, SCALES

LAYOUT = re.compile(r"(?<!\\)\\[,;:!> ]|~|\\q?quad(?![a-zA-Z])|\\(?:left|right)(?![a-zA-Z])")
COLOUR = re.compile(r"\\(?:text)?color\s?\{[^{}]*\}")
TAG = re.compile(r"</?[a-zA-Z][^<>]{0,40}>")
VARIABLE = r"(?<![a-zA-Z\\])[a-zA-Z](?![a-zA-Z])"
OPERAND = rf"(?:\d|{VARIABLE}(?! [a-z])|\((?![a-z]{{2}})|\\(?![\s()\[\]{{}}])|\.\d)"
"""How a number, a variable or an expression begins; an article does not."""
FUNCTIONS = "log|ln|lg|exp|sin|cos|tan|cot|sec|csc|arcsin|arccos|arctan|gcd|lcm|min|max"
FACTORS = (
    "sqrt|[dt]?frac|t?binom|times|cdot|div|infty|boxed|vec|ln|log|sin|cos|tan|pi|alpha|beta"
    "|gamma|delta|theta|lambda|phi|omega|sigma|rho|cup|cap"
)
UNIT = "|".join(sorted(filter(str.isalpha, UNITS), key=len, reverse=True))
SCALE = "|".join(SCALES)
BEFORE = re.compile(
    rf"""(?: \d\.? | {VARIABLE} | [±√×·÷≠^¬!] | [a-zA-Z\d)}}\]]_         # 2, x, or an index
      | \\(?:[dt]?frac|sqrt)\s?(?:\{{[^{{}}]*\}}\s?){{1,2}} | [\^_]\{{[^{{}}]*\}}
      | \([^()]*[-+*/^][^()]*\)                                             # (x + 1)
      | [-−]\$? | (?:[=(,\d)}}]|{VARIABLE})[ ]?-[ ] | \b(?:minus|negative)\s\$?
      | (?:[\w)}}]|(?<=\$))[ ]?\+\s? | (?:[\d)}}]|{VARIABLE})[ ]?(?:/|(?<!\*)\*)\s?
      | [$=(]\s?\d+\s?:\s?                                                  # 3 :
      | \\(?:neq?|times|cdot|div|not|pm|mp|{FUNCTIONS})\s?(?:_\s?(?:\w|\{{\w+\}}))?\s?
      | \b(?:twice|thrice|double|(?:half|root|square|cube|log)\s+of)\s\$?
      | \b(?:more|less|fewer|greater|larger|smaller|higher|lower)\s+than\s\$?
      | [\w)}}\]$][ ]?[<>][ ]? | \\[lg]t\s?                                  # a bound not reached
    ) \{{? \Z
    | (?:[\^_]|\}}|\\(?:[dt]?frac|sqrt(?:\[\d\])?|[dt]?binom|overline|bar))\s?\{{ \Z
    | \\[dt]?frac\s?\Z
    | (?<![\w\\])[\[(](?:\\[a-zA-Z]+|(?![a-zA-Z]{{2}})[^()\[\]\\$])*,\s?\Z               # (1,
    """,
    re.VERBOSE | re.IGNORECASE,
)
"""A box on a line of its own touches nothing, and a dash or star in front of it is a bullet."""
BEHIND = re.compile(
    rf"""\}}? (?: \d | \.\d | ,\d{{3}} | :\s?\d | _\s?[\w{{\\]
      | \s?\^(?!\s?\{{?\s?(?:\\circ|\\prime|°|st|nd|rd|th))
      | !(?=[$=+*/)!]|\\[\])])
      | (?!(?-i:{UNIT})(?![a-zA-Z]))[a-zA-Z]{{1,2}}(?![a-zA-Z])               # 5x
      | [ ][a-z](?<![mgshl])(?=\s?(?:[$^+*=]|\\[)\]]|[/-]\s?[\dx]))
      | \((?=[^()]*(?:[-+*/^]|{VARIABLE}))(?![^()]*[a-zA-Z]{{3}})
      | [ ]?(?:[/×·÷]|\*(?!\*))[ ]?(?:\d|\\(?![)\]])|\() | [ ]?[+-][ ]?{OPERAND}
      | [*/][xyzn](?![a-z])
      | [ ]?(?-i:\\(?:{FACTORS}))(?![a-zA-Z])
      | [ ]?(?:\\[pm][pm](?![a-z])|±)(?!\s?\d)                             # not a measured error
      | \$?\s?(?:(?:{SCALE})s?(?![a-zA-Z])|[十百千万萬亿億]|π|√|x\s?\d)
      | \$?\s+(?:or\s+(?:more|less|fewer|\$?\d)|(?:squared|cubed|factorial|halves)\b
        |(?:times|plus|minus|divided\s+by)\s+\$?{OPERAND}|and\s+a\s+half
        |is\s+(?:not|wrong|incorrect|false))
      | [ ]?(?:[<>] | \\(?:lt|gt|neq?)(?![a-z]))[ ]?{VARIABLE}
    )""",
    re.VERBOSE | re.IGNORECASE,
)
AROUND = (
    (re.compile(r"\|$"), re.compile(r"\|")),
    (re.compile(r"(?<![\w\\])[\[(]\s?$"), re.compile(r"\s?,(?!\s?[a-zA-Z]{2})[^()\[\]\n]*[\])]")),
)
"""Bars, and brackets of a point that begins with the box."""


def is_part(head: str, tail: str) -> bool:
    """Whether a box is a part of something else.

    Args:
        head: Some characters before it.
        tail: Some characters behind it.
    """
    head, tail = (TAG.sub(" ", _plain(text)) for text in (head, tail))
    around = any(one.search(head) and other.match(tail) for one, other in AROUND)
    return around or bool(BEFORE.search(head) or BEHIND.match(tail) or is_denied_before(head))


def _plain(text: str) -> str:
    """Text with one spelling for signs and spaces, and what is in text type as it is read."""
    # A long dash joins sentences; to_ascii would make a minus of it.
    return COLOUR.sub(" ", LAYOUT.sub(" ", GROUP.sub(r"\1", to_ascii(text.replace("—", ";")))))
