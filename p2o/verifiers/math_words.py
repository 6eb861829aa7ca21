"""Words in answers: when they are all there is, numbers in words, and how to compare them."""

import re
from fractions import Fraction

from p2o.verifiers import number_forms

_ONES = """zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen
fifteen sixteen seventeen eighteen nineteen"""
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
SMALL = {
    **{word: number for number, word in enumerate(_ONES.split())},
    **{word: 10 * number for number, word in enumerate(_TENS.split(), start=2)},
}
SCALES = {word: int(scale) for word, scale in number_forms.SCALES.items() if scale > 1}
"""Words behind a number that multiply it."""
PARTS = {"half": 2, "halves": 2, "third": 3, "fourth": 4, "quarter": 4, "fifth": 5, "sixth": 6}
PARTS |= {"seventh": 7, "eighth": 8, "ninth": 9, "tenth": 10, "hundredth": 100, "thousandth": 1000}
GROUP = re.compile(
    r"\\(?:text(?:bf|it|rm|sf|tt|up|sc|md|normal)?|mathrm|mathbf|mathit|mathsf|mbox|hbox"
    r"|operatorname\*?)\s?\{([^{}]*)\}"
)
WORDS = re.compile(r"[^\W\d_]+(?:[ '-][^\W\d_]+)*")
LONG = re.compile(r"[a-zA-Z]{4}|[^\W\d_a-zA-Z]")
PROSE = re.compile(r"(?<![\\a-zA-Z{])(?!and |or )[a-z]{2,} (?!and |or )[a-z]{2,}(?![a-zA-Z{(])")
SHORT = {"yes", "no", "odd", "all", "any", "nil"}
LATIN = re.compile(r"(?<![\\a-zA-Z])[a-zA-Z]{2,}(?![a-zA-Z])")
FOREIGN = re.compile(r"[^\W\d_a-zA-Z]+")
STOPS = " ().,:;!?'\"*。，"
NONE = {"no solution", "no real solution", "there is no solution", "there are no solution", "none"}
NONE |= {r"\emptyset", "Ø"}
SAME = {
    **dict.fromkeys(NONE, "none"),
    **dict.fromkeys(["dne", "it doe not exist", "limit doe not exist"], "doe not exist"),
    **dict.fromkeys(
        ["infinitely many solution", "there are infinitely many solution", "infinite solution"],
        "infinitely many",
    ),
}
"""Folded words that say the same, and the one that stands for them."""


def unwrap(text: str) -> str:
    r"""The text within ``\text{...}``, where that is all there is."""
    match = GROUP.fullmatch(text.strip())
    return match[1].strip() if match else text


def without_groups(text: str) -> str:
    r"""The text with the contents of ``\text{...}`` in place of it."""
    return GROUP.sub(r"\1", text)


def is_words(text: str) -> bool:
    r"""Whether a cleaned answer is no mathematics: letters in text type, or a word of four."""
    bare = unwrap(text)
    if bare != text and re.search(r"[^\W\d_]", bare) and not re.search(r"\d", bare):
        return True
    bare = without_groups(text).strip(STOPS)
    return bare.casefold() in SHORT or bool(WORDS.fullmatch(bare) and LONG.search(bare))


def is_prose(text: str) -> bool:
    """Whether there are sentences in it, which the parser would take for products of letters."""
    return bool(PROSE.search(text) or re.search(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]", text))


def is_conditional(text: str) -> bool:
    """Whether a sentence says when something holds, or what a letter is."""
    return bool(re.search(r"(?<![\w\\])(?:where|with|for|if|when|such that)(?!\w)", text))


def singular(word: str) -> str:
    """The word without the ending of its plural."""
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if re.search(r"(?:ss|x|ch|sh)es$", word):
        return word[:-2]
    return word[:-1] if re.search(r"[^siu]s$", word) and len(word) > 3 else word


def shared_words(answer: str, question: str) -> frozenset[str]:
    """Words of an answer that the question has too, without case and in the singular.

    Scripts without spaces between words share whatever stands in the question.
    """
    given, asked = (
        {singular(word.casefold()) for word in LATIN.findall(text)} for text in (answer, question)
    )
    return frozenset((given & asked) | {run for run in FOREIGN.findall(answer) if run in question})


def fold(text: str) -> str:
    """Words without case, spacing, articles, plurals, and brackets or stops around them."""
    bare = without_groups(text).strip()
    # A letter is a name, and e is not E.
    bare = bare.strip(STOPS) if len(bare.strip(STOPS)) < 2 else bare.casefold().strip(STOPS)
    words = bare.replace("-", " ").split()
    words = words[1:] if len(words) > 1 and words[0] in ("a", "an", "the") else words
    folded = " ".join(map(singular, words))
    return SAME.get(folded, folded)


def scale_of(word: str) -> int | None:
    """What a word multiplies the number before it by, in any case and number; None for others."""
    # K and M are units.
    return SCALES.get(word if len(word) < 2 else singular(word.casefold()))


def _spelled_with_half(words: list[str]) -> Fraction | None:
    """Minus seven, half a million, one and a half; None for others."""
    if len(words) > 1 and words[0] in ("minus", "negative"):
        number = spelled_number(" ".join(words[1:]))
        return None if number is None else -number
    if len(words) > 2 and words[0] == "half" and words[1] in ("a", "an"):
        number = spelled_number(" ".join(words[1:]))
        return None if number is None else number / 2
    if len(words) > 3 and words[-3:] == ["and", "a", "half"]:
        number = spelled_number(" ".join(words[:-3]))
        return None if number is None else number + Fraction(1, 2)
    return None


def spelled_number(text: str) -> Fraction | None:
    """A number that is written in words, such as "twenty-one" or "1.2 million"; None for others."""
    words = without_groups(text).casefold().strip(STOPS).replace("-", " ").split()
    if not words or len(words) > 20:
        return None
    number = _spelled_with_half(words)
    if number is not None:
        return number
    if len(words) > 1 and words[-1] in PARTS or singular(words[-1]) in PARTS:
        part = PARTS.get(words[-1], PARTS.get(singular(words[-1]), 0))
        top = spelled_number(" ".join(words[:-1])) if words[:-1] not in (["a"], []) else Fraction(1)
        return None if top is None else top / part
    total, group, known = Fraction(0), Fraction(0), False
    for index, word in enumerate(words):
        if word == "and" and known and index < len(words) - 1:
            continue
        if word in SMALL:
            small = SMALL[word]
            if group % 10 or (group % 100 and small >= 10):
                return None
            group += small
        elif scale_of(word) and len(word) > 2 and (known or words[0] in ("a", word)):
            scale = SCALES[singular(word)]
            if scale == 100:
                group = (group or Fraction(1)) * scale
            else:
                total, group = total + (group or Fraction(1)) * scale, Fraction(0)
        elif index == 0 and word == "a" and len(words) > 1:
            continue
        elif index == 0 and re.fullmatch(r"\d+(?:\.\d+)?", word):
            group = Fraction(word)
        else:
            return None
        known = True
    return total + group if known else None
