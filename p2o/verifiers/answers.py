r"""Where the answer stands in a response: in a box, behind "the answer is", in dollars, last.

One pass over the text each, so that no response takes long.
"""

import re

from p2o.verifiers.box_context import is_part
from p2o.verifiers.denials import NEGATION, is_denied_before, is_unreal_before
from p2o.verifiers.math_unicode import to_ascii
from p2o.verifiers.math_words import SCALES, SMALL

BRACE = re.compile(
    r"\\boxed\s*\{|\\boxed\s+(?P<one>[0-9a-zA-Z])(?![0-9a-zA-Z.,^_!/]|\s[\d/])|\\(?!\\boxed).|[{}]",
    re.DOTALL,
)
"""A box's opening, a box of one sign, an escaped character or a brace."""
PHRASE = re.compile(
    r"(?:####|\banswers?(?:\s+(?:is|are))?\s*[:=]|\banswers?\s+(?:is|are)\b|答案\s*[是为:]?"
    r"|^\W{0,4}(?:final\s+)?answer\s+-(?=\s))[*:\s]*",
    re.IGNORECASE | re.MULTILINE,
)
DELIMITER = re.compile(r"(?<!\\)\$\$?|\\[()\[\]]")
CLOSING = {r"\(": r"\)", r"\[": r"\]"}
SENTENCE = re.compile(r"(?<=[^\s.])[.!?。][*\"']*\s+(?=[A-Z*\"'])")
SENTENCE_END = re.compile(rf"{SENTENCE.pattern}|\n")
VERB = re.compile(r"\b(?:is|are|equals|be|was|were|therefore|thus)\b\s*:?\s*|:\s+", re.IGNORECASE)
SPELLED = rf"(?:{'|'.join(SMALL)})\b"
VALUE = re.compile(
    rf"[*\s\"']*(?:\$|\\[^a-zA-Z]|\\(?:d?frac|sqrt)|[-+(]*\.?\d|{SPELLED})", re.IGNORECASE
)
CLAUSE = re.compile(
    r"\s*[(](?=\s*(?:since|because|as|i\.e|which|that|by|from|see)\b)"
    r"|[,;:]\s+(?!and\b|or\b)(?=[a-z]{2})|;\s+(?=\S+\s+[a-z]{2})"
    r"|\s+(?:because|since|which|so|where|but|among|when|as|of\s+the)\b"
)
SCALE = "|".join(word for word in SCALES if len(word) > 2)
NUMBER = re.compile(
    r"(?<![A-Za-z0-9_.])(?<!\d[,;'])"
    r"-?(?:\d{1,3}(?:[, ']\d{3})+(?![,;]?\d)|\d+(?:[,;]\d+)*)(?:\.\d+)?"
    rf"(?:/\d+|[eE][-+]?\d+(?!\w)|\s?\\times\s?10\^\{{?-?\d+\}}?|\s(?:{SCALE})\b)?%?"
)
POINT = r"[\[(]\s?-?\d[^()\[\]a-zA-Z]{0,80},[^()\[\]a-zA-Z]{0,80}[\])]"
RATIO = r"(?<![\w.:])\d+(?:\.\d+)?(?:\s?:\s?\d+(?:\.\d+)?)+(?![\w:])"
LAST = re.compile(rf"{POINT}|{RATIO}|{NUMBER.pattern}")
TURNING = re.compile(rf"\b(?:than|least|most|between|either)\b|{NEGATION}|[不非]", re.IGNORECASE)
"""Words in front of a number that is then no answer alone."""
MINUS = re.compile(
    r"\b(?:minus|negative)\s+(\$?)(?=\\?[\d.])|(?<==)(\s?)-\s+(?=[\d.])", re.IGNORECASE
)
PART_BEFORE = re.compile(
    r"[\^_]\s*\{?\s*$|\}\s*\{\s*$|[±≠√∛<>≤≥~|]\s*\$?$"
    r"|(?:[+/×·÷]|(?<!\*)\*|(?<=[\w)}$])\s?-)[ ]*\$?$|\d\s?:\s?$|[a-zA-Z]\($"
    r"|\\(?!(?:approx|therefore|implies|Rightarrow|to|boxed|fbox|framebox)\b)[a-zA-Z]+\s*[{\[]?\s*$"
    r"|\b(?:than|least|most|under|below|above|over|between|half\s+of|twice|double|minus|plus"
    r"|times|either|log|ln|sqrt|root\s+of)\s*\$?$",
    re.IGNORECASE,
)
"""What stands before a number that is part of something else."""
PART_BEHIND = re.compile(
    r"[!^_{]|:\d|\s?\?|[a-zA-Z](?![a-zA-Z])(?<![mgshlL])"
    rf"|\s*(?:[π√±∞≠<>≤≥]|[*/+×·÷-]\s?[\d($\\]|/[a-z](?![a-z])|x\s?\d|[十百千万萬亿億]"
    r"|\\(?:times|cdot|div|pi|sqrt|d?frac|pm|mp|leq?|geq?|neq?|infty)(?![a-z]))"
    r"|\s+(?:or\s+(?:more|less|fewer|\$?\d)|(?:squared|cubed|factorial|times|plus|minus|divided"
    r"|halves)\b|and\s+a\s+half|in\s+base|is\s+(?:not|wrong|incorrect|false))"
    r"|\s*[,(]\s*(?:wrong|incorrect|not|or)\b"
    rf"|\s+(?:{SCALE})s?\b",
    re.IGNORECASE,
)
"""What stands behind a number that is part of something else."""
SCALED = re.compile(rf"\s+(?:{SCALE})s?\b", re.IGNORECASE)
NOT_BUT = re.compile(r"^not\b[^.]{1,60}?\bbut\s+(?:rather\s+)?", re.IGNORECASE)
"""Another answer, which is denied."""
DOUBT = re.compile(r"[^.!\n]*\?\s+\S")
"""A question that something follows."""
THERE = re.compile(rf"\bthere\s(?:is|are|were|will\sbe)\s(?:\w+ly\s)?\$?({NUMBER.pattern})", re.I)
PROSE = re.compile(r"(?<![\\a-zA-Z])[a-zA-Z]{2,}|[^\W\d_a-zA-Z]")
JOINT = re.compile(r"\s*(?:,|;|,?\s*and|,?\s*or)?\s*")
NEAR = 60
"""Characters around a number or a box in which it is looked for what it is a part of."""
LONGEST = 10_000
"""Characters at the end of a response in which an answer without a box is looked for."""


def find_boxes(text: str) -> list[str]:
    r"""Contents of all \boxed{...} by balanced braces, outermost only; unclosed ones are none.

    A box that is a factor, a power or another part of an expression has none: ``-\boxed{1}``.
    """
    boxes: list[tuple[int, int, int, int]] = []
    openings: list[re.Match[str] | None] = []
    for token in BRACE.finditer(text):
        if token["one"]:
            boxes.append((token.start(), *token.span("one"), token.end()))
        elif token.group() == "}":
            box = openings.pop() if openings else None
            if box is not None:
                while boxes and boxes[-1][0] > box.start():
                    boxes.pop()
                boxes.append((box.start(), box.end(), token.start(), token.end()))
        elif token.group() == "{":
            openings.append(None)
        elif token.group().startswith("\\boxed"):
            openings.append(token)
    ends = {end for *_, end in boxes}
    return [
        ""
        if at in ends or is_part(text[max(0, at - NEAR) : at], text[end : end + NEAR])
        else text[start:stop]
        for at, start, stop, end in boxes
    ]


def find_answer(text: str) -> str:
    r"""The last box, else what follows "the answer is", else the last formula or number.

    Empty when there is none.
    """
    boxes = find_boxes(text)
    if boxes:
        return boxes[-1].strip()
    text = to_ascii(text[-LONGEST:])
    end = text.rfind("</answer>")
    start = text.rfind("<answer>", 0, end)
    if 0 <= start < end:
        return _in_sentence(text[start + len("<answer>") : end])
    text = _without_unreal(text)
    phrases = [match for match in PHRASE.finditer(text) if text[match.end() : match.end() + 1]]
    if phrases:
        return _in_sentence(_line(text[phrases[-1].end() :]))
    if "\n" not in text.strip() and not PROSE.search(text):
        return _bare(text, " *.")
    there = THERE.search(SENTENCE.split(text.strip())[-1])
    if there:
        return there[1]
    return _last(text)


def _without_unreal(text: str) -> str:
    """The text without sentences of what the answer is not, or is only supposed to be."""
    kept, at = "", 0
    phrases = list(PHRASE.finditer(text))
    for phrase, following in zip(phrases, [*phrases[1:], None], strict=False):
        head = text[max(at, phrase.start() - NEAR) : phrase.start()]
        if is_unreal_before(head):
            kept += text[at : phrase.start()]
            most = following.start() if following else len(text)
            end = SENTENCE_END.search(text, phrase.end(), most)
            at = end.end() if end else most
    return kept + text[at:]


def _line(text: str) -> str:
    """The first line, with all of the formula that it begins with."""
    first = next((end for _, start, end in _formulas(text) if start == 0), 0)
    return text[:first] + text[first:].partition("\n")[0]


def _last(text: str) -> str:
    """The last formula, else the last number or point; empty when that is part of more."""
    text = MINUS.sub(r"\1\2-", text)
    spans = _formulas(text) or [(one[0], *one.span()) for one in LAST.finditer(text)]
    if not spans:
        return ""
    content, start, end = spans[-1]
    head = text[max(0, start - NEAR) : start]
    differs = content.startswith("-") and re.search(r"[\d)}]\s*$|\b[a-zA-Z]$", head)
    part = differs or PART_BEFORE.search(head) or is_denied_before(head)
    return "" if part else _with_tail(content, text[end:])


def _with_tail(content: str, tail: str) -> str:
    """A value with the scale behind it; empty when the tail makes it part of something else."""
    scale = SCALED.match(tail)
    if scale:
        return content + scale[0]
    return "" if PART_BEHIND.match(tail) else content


def _in_sentence(text: str) -> str:
    """The answer in a sentence that gives it."""
    if DOUBT.match(text):
        return ""
    text = MINUS.sub(r"\1\2-", SENTENCE.split(text.strip(), maxsplit=1)[0].strip())
    text = NOT_BUT.sub("", text, count=1)
    starts = [0, *(verb.end() for verb in VERB.finditer(text))]
    start = next((start for start in starts if VALUE.match(text, start)), None)
    if start is not None:
        return _leading_value(text[start:])
    text = _bare(text, " *.!\"'")
    words = len(PROSE.findall(text))
    if words <= 3 and not (words and NUMBER.search(text)):
        return text
    return text if TURNING.search(text) else _last(text)


def _leading_value(text: str) -> str:
    """The value that a text begins with: formulas up to the first other word, or a clause."""
    text = text.strip(" *\"'")
    formulas, at = [], 0
    for content, start, end in _formulas(text):
        if not JOINT.fullmatch(text, at, start):
            break
        formulas.append(content)
        at = end
    if formulas and not text[at:].lstrip().startswith("="):
        return _with_tail(",".join(formulas), text[at:])
    return _bare(CLAUSE.split(text, maxsplit=1)[0], " *.!?\"'")


def _bare(text: str, marks: str) -> str:
    """Without marks around it; the point of a decimal is none."""
    text = text.rstrip(marks)
    start = next((at for at, sign in enumerate(text) if sign not in marks), len(text))
    return text[start - 1 :] if re.match(r"\.\d", text[start - 1 :]) and start else text[start:]


def _formulas(text: str) -> list[tuple[str, int, int]]:
    """Contents of formulas, and where they begin and end; dollars before prices make none."""
    found: list[tuple[str, int, int]] = []
    opening: re.Match[str] | None = None
    for sign in DELIMITER.finditer(text):
        if opening is None:
            opening = sign if sign[0] not in CLOSING.values() else None
        elif sign[0] == CLOSING.get(opening[0], opening[0]):
            content = text[opening.end() : sign.start()].strip()
            if opening[0] == "$" and re.match(r"\d[\d.,]*\s+[a-z]{2,}", content):
                return []
            if content:
                found.append((content, opening.start(), sign.end()))
            opening = None
    return found
