"""The words and marks of a response that chooses a letter."""

import re

from p2o.verifiers.choice_words import LETTERS, OTHER_WORDS
from p2o.verifiers.plain_text import to_plain

WORD = re.compile(
    r"\n|\\[a-zA-Z]+|[a-zA-Z\u00c0-\u024f\u0400-\u04ff\d]+(?:'[a-zA-Z]+)?|\\?[^\s\w]|\w"
)
TRANSLATED = re.compile("|".join(sorted(OTHER_WORDS, key=len, reverse=True)))
SAID_ASIDE = re.compile(
    r",\s*(?:of\s+course|in\s+fact|indeed|clearly|obviously|therefore|then|thus"
    r"|I\s+(?:think|believe))\s*,",
    re.IGNORECASE,
)
UNDERLINED = re.compile(r"(?<!\w)_{1,2}(\(?[A-Ja-j]\)?)_{1,2}(?!\w)")
"""A letter in bold type, as Markdown has it beside stars."""


def find_words(text: str) -> list[re.Match[str]]:
    """Words, marks and ends of lines, in English for what is said in some other languages."""
    text = TRANSLATED.sub(lambda word: f" {OTHER_WORDS[word[0]]} ", text)
    return list(WORD.finditer(UNDERLINED.sub(r"\1", SAID_ASIDE.sub(" ", to_plain(text)))))


def is_joined(word: str) -> bool:
    """Whether a word is letters of choices side by side."""
    return (
        len(word) > 1
        and word.isupper()
        and set(word) <= set(LETTERS)
        and len(set(word)) == len(word)
    )
