r"""Answers in a form of their own: numbered statements, choices, times of day, remainders."""

import re
from collections.abc import Callable
from fractions import Fraction
from math import gcd

from p2o.verifiers.math_compound import compounds_agree
from p2o.verifiers.math_words import STOPS, unwrap, without_groups

LABEL = re.compile(r"\\(?:textcircled|circled)\s?(?:\{([^{}]{1,8})\}|(\w))|\(([\dA-Z]{1,2})\)")
TEXT = re.compile(r"\\(?:text|mathrm)\s?\{((?:\\textcircled\{[^{}]{1,8}\}|[^{}\\]){0,80})\}")
TIME = re.compile(
    r"(?P<hour>\d{1,2})(?::(?P<minute>\d\d))?(?::(?P<second>\d\d))?\s?"
    r"(?:(?P<half>[ap])\.?\s?m|(?P<name>noon|midday|midnight))?"
)
NAMED_TIME = re.compile(r"(?:at )?(noon|midday|midnight)")
RATIO = re.compile(r"\d{1,9}(?:\.\d{1,9})?(?:\s?(?::|to)\s?\d{1,9}(?:\.\d{1,9})?)+")
NUMBER = re.compile(r"(?:[\d\s:.,/{}]|\\[dt]?frac(?![a-zA-Z]))+")
REMAINDER = re.compile(
    r"(?:[a-zA-Z](?:_\w)?\s?\\equiv\s?)?(-?\d{1,30})\s?"
    r"(?:\\pmod\s?\{?\s?(\d{1,30})\s?\}?|\(\s?\\?b?mod\s?\{?\s?(\d{1,30})\s?\}?\s?\))"
)
ROMAN = re.compile(
    r"(?=[IVXLCDM]{2})(?=[CDLM]*[IVX])M{0,3}(?:CM|CD|D?C{0,3})(?:XC|XL|L?X{0,3})(?:IX|IV|V?I{0,3})"
)
"""A Roman numeral; CD and the like are rather segments."""
OPTION = re.compile(r"\(?([A-J])\s?[).:]\s?(.+)", re.DOTALL)
CALLED = re.compile(r"(?:option|choice|answer)\s+\(?([A-J])\)?", re.IGNORECASE)
LETTERS = re.compile(r"([A-J])(?:(?:\s*,\s*|\s+and\s+|\s*,\s*and\s+|\s?)([A-J]))+")
"""Letters of choices, with or without commas."""
ANOTHER = re.compile(r"(?<![\w\\])[A-J]\s?[).:]|\b(?:not|wrong|or)\b")

Agree = Callable[[str, str], bool | None]


def labels_agree(gold: str, answer: str) -> bool | None:
    r"""Whether numbered statements, ``\textcircled{1}\textcircled{4}`` or (1)(4), are the same.

    None when the gold answer has no such form. Numbers are no factors there, and have no order.
    """
    known = _labels(gold)
    if known is None:
        return None
    given = _labels(answer)
    # A circled letter is a choice.
    letter = unwrap(answer).strip(STOPS)
    return known == (given if given is not None or not letter.isalpha() else {letter})


def _labels(text: str) -> set[str] | None:
    text = TEXT.sub(r"\1", text)
    labels = ["".join(filter(None, groups)) for groups in LABEL.findall(text)]
    rest = re.sub(r"[\s,;]|and|[和与]|\\cdot(?![a-zA-Z])", "", LABEL.sub("", text))
    many = len(labels) > 1 or (labels and "circled" in text)
    return set(labels) if many and not rest else None


def times_agree(gold: str, answer: str) -> bool | None:
    """Whether two times of day are the same; None when one of them is none.

    One may leave out "a.m." or "p.m." where the other names it. A gold answer that can be no ratio
    in lowest terms, 3:30 or 4:05, is no number.
    """
    known, given = _time(gold), _time(answer)
    if known is not None and given is None and NUMBER.fullmatch(answer):
        (hour, minute, _), *_ = known
        return False if known[2] or gcd(hour, minute) > 1 or ":0" in gold else None
    if known is None or given is None:
        return None
    halves, named = {known[1], given[1]}, known[2] or given[2]
    return known[0] == given[0] and (len(halves) == 1 or (None in halves and named))


def _time(text: str) -> tuple[tuple[int, int, int], str | None, bool] | None:
    """Hour on a clock, minute and second; half of the day; whether that is said in words."""
    text = " ".join(without_groups(text).casefold().split()).strip(STOPS)
    match = TIME.fullmatch(NAMED_TIME.sub(r"12 \1", text) if NAMED_TIME.fullmatch(text) else text)
    if match is None or not (match["minute"] or match["half"] or match["name"]):
        return None
    hour, minute, second = (int(match[part] or 0) for part in ("hour", "minute", "second"))
    if hour > 24 or minute > 59 or second > 59:
        return None
    half = {"noon": "p", "midday": "p", "midnight": "a"}.get(match["name"] or "", match["half"])
    named = half is not None
    if half is None and not 0 < hour <= 12:
        half = "a" if hour in (0, 24) else "p"
    return (hour % 12, minute, second), half, named


def remainders_agree(gold: str, answer: str) -> bool | None:
    r"""Whether remainders such as ``x \equiv 3 \pmod 7`` are the same; None when there are none.

    A number alone is the remainder, if it is one.
    """
    known, given = (REMAINDER.fullmatch(text.strip(STOPS)) for text in (gold, answer))
    if known is None and given is None:
        # A remainder without its modulus is no value.
        return False if r"\equiv" in answer and not re.search(r"=|\\equiv", gold) else None
    (one, modulus), (other, given_modulus) = _remainder(gold, known), _remainder(answer, given)
    if one is None or other is None:
        return False
    if modulus and given_modulus:
        return modulus == given_modulus and (one - other) % modulus == 0
    return one == other and 0 <= one < max(modulus, given_modulus)


def _remainder(text: str, match: re.Match[str] | None) -> tuple[int | None, int]:
    if match is not None:
        return int(match[1]), int(match[2] or match[3])
    return int(text) if re.fullmatch(r"\s*\d{1,30}\s*", text) else None, 0


def romans_agree(gold: str, answer: str) -> bool | None:
    """Whether a Roman numeral is the same; None where there are other signs, or none is one.

    Its letters are no factors, and have their order.
    """
    known, given = (unwrap(text).strip(STOPS) for text in (gold, answer))
    if not ROMAN.fullmatch(known) or not re.fullmatch("[IVXLCDM]+", given):
        return None
    return known == given


def choices_agree(gold: str, answer: str) -> bool | None:
    """Whether "B) 12" names choice B; None when the gold answer is no letter or this no choice."""
    letter = unwrap(gold).strip(STOPS)
    called = CALLED.fullmatch(without_groups(answer).strip(" ."))
    if re.fullmatch("[A-J]", letter) and called:
        return called[1] == letter
    match = OPTION.fullmatch(without_groups(answer).strip())
    if not re.fullmatch("[A-J]", letter) or match is None:
        return None
    return match[1] == letter and not ANOTHER.search(match[2])


def letters_agree(gold: str, answer: str) -> bool | None:
    """Whether B, C, D are BCD; None where both are written alike, or one is no such thing."""
    texts = [without_groups(text).strip(STOPS) for text in (gold, answer)]
    if not all(map(LETTERS.fullmatch, texts)) or len({"," in text for text in texts}) == 1:
        return None
    known, given = (re.findall("[A-J]", text) for text in texts)
    return sorted(known) == sorted(given) and len(set(known)) == len(known)


def spoken_ratios_agree(gold: str, answer: str) -> bool | None:
    """Whether "2 to 3" is the ratio 2:3; None where neither is written so, or one is no ratio."""
    texts = [" ".join(without_groups(text).split()) for text in (gold, answer)]
    if not any("to" in text for text in texts) or not all(map(RATIO.fullmatch, texts)):
        return None
    known, given = ([Fraction(term) for term in re.split(r":|to", text)] for text in texts)
    same = all(one * given[0] == other * known[0] for one, other in zip(known, given, strict=False))
    return len(known) == len(given) and known[0] * given[0] > 0 and same


FORMS: tuple[Agree, ...] = (
    labels_agree,
    times_agree,
    remainders_agree,
    romans_agree,
    letters_agree,
    choices_agree,
    spoken_ratios_agree,
    compounds_agree,
)
"""Each says whether two cleaned answers agree, or None when they are not of its form."""
