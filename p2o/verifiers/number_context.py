"""What stands around a number and makes it a part of something else, or denies it.

Only four things may touch a number: a word, a mark of punctuation, a bracket around it and a sign
of a unit. Any other sign, and a word that works as a sign, makes it a part of something else.
"""

import re

from p2o.verifiers.denials import NEGATION

BEFORE = re.compile(
    r"""[-+*/^×·÷√∛±<>≤≥≠¬_\\|~→⇒][\s(){}]*$ | \d\s*:\s*$ | [a-zA-Z)]\s*-\s*$ | [\w)]\($
    | \\[a-zA-Z]+\s*\{?$ | (?:∞|\\infty)\s*,\s*$
    # a function, a multiple or a bound
    | \b(?: log|ln|sin|cos|tan|sqrt|exp|(?:root|factorial|square|cube|half|third|quarter)\s+of
        | twice|thrice|double|triple|halve|half|root|over| under|above|below|than|beyond|between
        | up\s+to|at\s+(?:most|least)|exceeds?|almost|nearly|close\s+to|(?:not\s+)?quite|barely
        | (?:any|every)thing\s+but|all\s+but|except(?:\s+for)?
    )\s*\(?$
    # a denial, up to three words before
    """
    rf"|(?:{NEGATION}|\bno\b)\s+(?:(?!but\b)[a-z]+\s+){{0,3}}\(?$",
    re.IGNORECASE | re.VERBOSE,
)
BEHIND = re.compile(
    r"""[\s)}]*(?: [+*×·÷^±<>≤≥≠√π∞_|→⇒] | -\s*(?:[\d(.$>]|$) | \\\s*[\w({.\\√π∞$]
        | /+\s*(?:[\d({.\\√π$-]|[a-z](?![a-z])) | :\s*\d | x\s*\d )
    | [!({] | [.,]\d | \d | %+\s*\d | \.\. | \s*['"′″]\s*\d
    | [ ]?(?:[xyzni]|[abcpqruvw](?=\W|$)(?<![ ].))(?![a-zA-Z])
    | \s*e\s?[-+]?\d | \s*°\s*\d | \s+\d
    | \s*(?:r(?:em(?:ainder)?)?\.?\s*\d 
        | (?:or|and)\s+(?:more|less|fewer|higher|lower|above|below|up|over)\b
        | (?:more|less|fewer)\s+than\s+\W?\d | (?:out\s+)?of\s+\d
        | at\s+(?:the\s+)?(?:least|most)\b
        | (?:no|not|is\snot|isn't)\b)
    # taken back for another number
    | [\s,;.(–—-]{0,8}
        (?:(?:no|nope|wait|sorry|oops|hmm|actually|rather|correction|i\s+mean)\b\W{0,8}){1,4}
        (?:(?:it|that|the\s+answer)(?:'s|\s+is)\s|(?:rather|actually|make\s+(?:it|that))\s)?
        \W{0,8}\d
    | [\s,]*(?:unless|if\s+not|(?:or\s+)?(?:maybe|perhaps|possibly))\b
    | \s*if\s+\W*[a-z]\s*[<>=≤≥≠]
    # a word that works as a sign
    | [\s-]*(?:squared|cubed|doubled|tripled|halved|factorial|hex|binary|(?:st|nd|rd|th)\s+root
        |halves|thirds|pi|divided|multiplied|times\s+\W?\d|plus|minus|raised
        |over\s+\d|to\s+the\s+power|and\s+a\s+(?:half|third|quarter)|(?:in\s+)?base)\b
    # another unit
    | \s*(?!(?:or|and|to|for|in|after|with|at|on|within|per)\b)[a-zA-Z]+(?:\s+and|,)?\s+\d
    | (?![ckm]?m[23]\b|in[23]\b|ft[23]\b)[a-zA-Z]+\d
    | \s*\(?\s*mod(?:ulo)?\b | [\s)}]*\?
    | \s+in\s+\d+\W*$""",
    re.IGNORECASE | re.VERBOSE,
)
DENIAL = re.compile(
    r"\b(?:wrong(?:ly)?|incorrect(?:ly)?|false|mistaken|untrue|invalid|impossible|ruled\s+out)\b(?!\s+[a-z]{3,}s\b)"
    r"|\bnot\s+(?:right|correct|true|valid|possible)\b",
    re.IGNORECASE,
)
"""Words by which a text takes back what it says."""


def is_part_of_more(head: str, tail: str) -> bool:
    """Whether a number is a part of something else, by what stands before and behind it."""
    return bool(BEFORE.search(head) or BEHIND.match(tail))


def is_denied(text: str) -> bool:
    """Whether a text says that something is wrong."""
    return bool(DENIAL.search(text))
