r"""Where the answer stands in a response: in a box, behind "the answer is", in dollars, last."""

import re

BRACE = re.compile(r"\\boxed\s*\{|\\(?!\\boxed).|[{}]", re.DOTALL)
"""A box's opening, an escaped character or a brace; one pass over them is linear in any text."""
PHRASE = re.compile(
    r"(?:####|\banswer(?:\s+is)?\s*[:=]|\banswer\s+is\b)\**\s*([^\n]+)", re.IGNORECASE
)
FORMULA = re.compile(
    r"\$\$?([^$]{1,2000})\$\$?|\\\((.{1,2000}?)\\\)|\\\[(.{1,2000}?)\\\]", re.DOTALL
)
NUMBER = re.compile(r"(?<![\w.])-?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:/\d+)?%?")
LONGEST = 10_000
"""Characters at the end of a response in which an answer without a box is looked for."""


def find_boxes(text: str) -> list[str]:
    r"""Contents of all \boxed{...} by balanced braces, outermost only; unclosed ones are none."""
    boxes: list[tuple[int, int]] = []
    openings: list[int | None] = []
    for token in BRACE.finditer(text):
        if token.group() == "}":
            start = openings.pop() if openings else None
            if start is not None:
                while boxes and boxes[-1][0] > start:
                    boxes.pop()
                boxes.append((start, token.start()))
        elif token.group() == "{":
            openings.append(None)
        elif token.group().startswith("\\boxed"):
            openings.append(token.end())
    return [text[start:end] for start, end in boxes]


def find_answer(text: str) -> str:
    r"""The last box, else what follows "the answer is", else the last formula or number.

    Empty when there is none.
    """
    boxes = find_boxes(text)
    if boxes:
        return boxes[-1].strip()
    text = text[-LONGEST:]
    phrases = PHRASE.findall(text)
    if phrases:
        return ",".join(_formulas(phrases[-1])) or phrases[-1].strip(" *.")
    return next(reversed(_formulas(text) or NUMBER.findall(text)), "")


def _formulas(text: str) -> list[str]:
    return ["".join(groups).strip() for groups in FORMULA.findall(text)]
