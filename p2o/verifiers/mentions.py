r"""Where a text has an answer in it, however the two are spelled.

``1,024``, ``1024.0`` and "one thousand twenty-four" are one number; ``\dfrac12``, ``\frac{1}{2}``,
``1/2`` and ``0.5`` are another. What is no number is compared without layout, brackets and space.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from p2o.verifiers.math_words import SCALES, SMALL, spelled_number
from p2o.verifiers.number_forms import NUMBER, value_of
from p2o.verifiers.number_spelling import FRACTION, WRAPPERS
from p2o.verifiers.plain_text import to_plain

MARKED = re.compile(r"\\f?box(?:ed)?\s*\{|#{3,}")
"""What marks an answer without a word."""
ROOT = re.compile(r"\\sqrt\s*(?:\{([^{}]*)\}|(\w))")
NESTED = re.compile(r"\\[dtc]?frac\s*\{([^{}]*)\}\s*\{([^{}]*)\}")
SIZES = re.compile(r"\\(?:left|right|big\w*|displaystyle|q?quad)(?![a-zA-Z])\.?|\\[,;:! ]")
NUMERAL = "|".join(sorted({*SMALL, *SCALES} - {"k", "mn", "bn"}, key=len, reverse=True))
SPELLED = re.compile(rf"\b(?:{NUMERAL})(?:(?:[ -]|\s+and\s+)(?:{NUMERAL}))*\b", re.IGNORECASE)
MINUS = re.compile(r"(?<!\d)(?<!\d )\b(?:minus|negative)\s+(?=\d)", re.IGNORECASE)
"""The sign of a number, in a word; behind another number it takes away."""
OVER = re.compile(r"(\d)\s*(?:\\over\b|\bover\b)\s*(?=\d)", re.IGNORECASE)
LONGEST_NUMERAL = 20
"""Words of a number; a longer run of them is a list."""


@dataclass(frozen=True)
class Mention:
    """An answer in a text.

    Attributes:
        before: The plain text in front of it, "answer is" in place of a box around it.
        after: The plain text behind it.
    """

    before: str
    after: str


def mentions(text: str, answer: str) -> Iterator[Mention]:
    r"""Each place where a text has an answer as a whole number, word or expression.

    Example::

        >>> [len(list(mentions(text, "42"))) for text in ("It is forty-two.", "Use 142.", "42.0")]
        [1, 0, 1]
        >>> [mention.after.strip() for mention in mentions(r"so $\dfrac{1}{2}$ it is", "0.5")]
        ['it is']
    """
    value = number_in(answer)
    if value is not None:
        plain, numbers = _numbers(text)
        for start, end, number in numbers:
            if number == value:
                yield Mention(plain[:start], plain[end:])
        return
    wanted = _skeleton(answer)
    if not wanted:
        return
    plain, skeleton, places = _bones(text)
    start = skeleton.find(wanted)
    while start >= 0:
        first, last = places[start], places[start + len(wanted) - 1]
        before, after = plain[:first], plain[last + 1 :]
        if not _joined(before[-1:], plain[first]) and not _joined(plain[last], after[:1]):
            yield Mention(before, after)
        start = skeleton.find(wanted, start + 1)


@lru_cache(maxsize=4096)
def number_in(answer: str) -> Fraction | None:
    """The number that an answer is, and nothing beside it; None for any other."""
    plain = plainly(answer).strip(" \t\n.,;:$")
    match = NUMBER.fullmatch(plain)
    return None if match is None else value_of(match, False)


@lru_cache(maxsize=64)
def plainly(text: str) -> str:
    r"""A text with numbers in digits and without LaTeX around them.

    Example::

        >>> " ".join(plainly(r"Give $\boxed{1{,}024}$, or twenty-one.").split())
        'Give answer is 1,024 , or 21.'
        >>> plainly("minus twelve, and seventeen over forty-two")
        '-12, and 17/42'
    """
    text = to_plain(MARKED.sub(" answer is ", text))
    text = FRACTION.sub(r" \1\2/\3\4 ", SIZES.sub("", text)).replace("{,}", ",")
    text = re.sub(r"[{}]", " ", WRAPPERS.sub(" ", text))
    return OVER.sub(r"\1/", MINUS.sub("-", in_digits(text)))


def in_digits(text: str) -> str:
    """A text with the numbers that are spelled out in it as digits."""
    return SPELLED.sub(_in_digits, text)


def _in_digits(match: re.Match[str]) -> str:
    if len(match[0].split()) > LONGEST_NUMERAL:
        return match[0]
    value = spelled_number(match[0])
    return match[0] if value is None or value.denominator != 1 else str(value)


@lru_cache(maxsize=64)
def _numbers(text: str) -> tuple[str, list[tuple[int, int, Fraction | None]]]:
    """A text read plainly, and its numbers, each with its place."""
    plain = plainly(text)
    return plain, [
        # The stop of a sentence is no part of a number.
        (match.start(), match.end() - match[0].endswith("."), value_of(match, False))
        for match in NUMBER.finditer(plain)
    ]


@lru_cache(maxsize=64)
def _bones(text: str) -> tuple[str, str, list[int]]:
    """A text in one line, the characters that are compared, and the place of each."""
    plain = _unfolded(text)
    places = [index for index, character in enumerate(plain) if _counts(character)]
    # Lower case letter by letter, for some have two of them.
    return plain, "".join(plain[index].lower()[:1] for index in places), places


@lru_cache(maxsize=64)
def _unfolded(text: str) -> str:
    """LaTeX in one line: fractions with a slash, roots by name, no backslash."""
    text = to_plain(MARKED.sub(" answer is ", text))
    text = SIZES.sub("", text)
    before = None
    while text != before:
        before, text = text, ROOT.sub(r"sqrt(\1\2)", text)
        text = NESTED.sub(r"(\1)/(\2)", text)
    text = FRACTION.sub(r"(\1\2)/(\3\4)", text)
    text = re.sub(r"\\(?:cdot|times)(?![a-zA-Z])", "*", text)
    return re.sub(r"\\(?:text|math\w*)(?![a-zA-Z])|\\", "", text)


def _skeleton(answer: str) -> str:
    return "".join(c.lower()[:1] for c in _unfolded(answer).strip(" .,;:") if _counts(c))


def _counts(character: str) -> bool:
    return not character.isspace() and character not in "(){}[]$*_`~"


def _joined(one: str, other: str) -> bool:
    """Whether two neighbours are parts of one word or number."""
    return bool(one and other) and (one.isalnum() and other.isalnum())
