"""Unicode spellings of answers that are a number or a letter, as plain text."""

import re

from p2o.verifiers.math_unicode import to_ascii

SEPARATING = re.compile(r"\s[\u2013\u2014-]\s(?=[^\d$€£¥(.])|\s\u2014\s|\u2014")
"""A dash between words. One before a digit is a minus, if it is no long one."""


def to_plain(text: str) -> str:
    r"""The text with one spelling for each sign, as `to_ascii` has it, and dashes as semicolons.

    Example::

        >>> to_plain("２½，10⁻³ — or so")
        '2\\frac{1}{2},10^{-3} ; or so'
    """
    return text if text.isascii() else to_ascii(SEPARATING.sub(" ; ", text))
