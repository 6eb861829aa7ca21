"""Unicode and LaTeX spellings of answers that are a number or a letter, as plain text."""

import re
import unicodedata

RAISED = re.compile("[\u2070\u00b9\u00b2\u00b3\u2074-\u2079\u207a\u207b]+")
SIGNS = str.maketrans(
    {
        **dict.fromkeys("\u2010\u2011\u2012\u2212\ufe63\uff0d", "-"),
        **dict.fromkeys("\u2018\u2019\u2032", "'"),
        **{"\u2044": "/", "\u2215": "/", "\u2236": ":", "\u3002": ". ", "\u3001": ", "},
        **dict.fromkeys("\u3010\u3014\u300c", "["),
        **dict.fromkeys("\u3011\u3015\u300d", "]"),
    }
)
SEPARATING = re.compile(r"\s[\u2013\u2014-]\s(?=\D)|\s\u2014\s|\u2014")
"""A dash between words. One before a digit is a minus, if it is no long one."""


def to_plain(text: str) -> str:
    r"""The text with one spelling for each sign, digit and letter.

    Digits of any script and wide and circled characters become ASCII, fractions ``a/b``, powers
    ``^{a}``.

    Example::

        >>> to_plain("２½，10⁻³")
        '2 1/2,10^{-3}'
    """
    if text.isascii():
        return text
    text = RAISED.sub(lambda run: f"^{{{unicodedata.normalize('NFKC', run[0])}}}", text)
    text = SEPARATING.sub(" ; ", text).replace("\u2013", "-")
    text = unicodedata.normalize("NFKC", "".join(map(_apart, text))).translate(SIGNS)
    return "".join(str(unicodedata.digit(one)) if one.isdecimal() else one for one in text)


def _apart(sign: str) -> str:
    """A fraction with space around, so that it does not run into a number before it."""
    return f" {sign} " if unicodedata.decomposition(sign).startswith("<fraction>") else sign
