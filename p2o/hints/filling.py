"""A hint as one problem sees it: what stands for a column is filled in from the problem's own."""

import math
import re
from collections.abc import Iterable
from dataclasses import replace

from p2o.errors import UserError
from p2o.prompt import Prompt
from p2o_callbacks.hint import Hint

COLUMN = re.compile(r"\{([^{}:]+)(?::(\d+(?:\.\d+)?)%)?\}")
"""``{name}``, a column, and ``{name:50%}``, the first half of its words."""
WORD = re.compile(r"\s*\S+")
OF_A_SOLUTION = "solution"
"""Name under which a source keeps what its `solution` names."""


def first_part(text: str, share: float) -> str:
    r"""The first words of a text, with the white space between them.

    Example::

        >>> first_part("Add 3 and 4.\nThat is 7.", 0.5)
        'Add 3 and 4.'

    Args:
        text: Any.
        share: Of its words, rounded up: of a text with words there is at least one, unless the
            share is 0.
    """
    words = WORD.findall(text)
    # A share of a number of words is no exact number: 0.07 of 100 is 7.000000000000001.
    return "".join(words[: math.ceil(share * len(words) - 1e-9)]).strip()


def fill(hint: Hint, prompt: Prompt) -> Hint:
    """The hint of one problem.

    Columns are filled in; where all of them give nothing, as a share of 0 does, neither does the
    text around them. A solved problem is left out in front of itself.

    Args:
        hint: Of a search, for any problem.
        prompt: The problem.

    Raises:
        UserError: The problem has no such column, or nothing in it; names the row and the column.
    """
    turns = tuple(turn for turn in hint.turns if turn[0] != prompt.question)
    if not hint.columns:
        return hint if len(turns) == len(hint.turns) else replace(hint, turns=turns)
    text, prefix = _filled(hint.text, prompt), _filled(hint.prefix, prompt)
    return Hint(text, turns=turns, prefix=prefix, learned=hint.learned)


def check_columns(hints: Iterable[Hint], prompts: Iterable[Prompt]) -> None:
    """Refuse hints for which a problem lacks a column.

    Raises:
        UserError: Names the first such row and the column.
    """
    names = {
        match.group(1)
        for hint in hints
        if hint.columns
        for text in (hint.text, hint.prefix)
        for match in COLUMN.finditer(text)
    }
    for prompt in prompts:
        for name in sorted(names):
            column(prompt, name)


def column(prompt: Prompt, name: str) -> str:
    """A problem's own text of that name.

    Raises:
        UserError: There is none; names the row and the column.
    """
    value = prompt.meta.get(name)
    text = "" if value is None else str(value).strip()
    if text:
        return text
    row = prompt.meta.get("row")
    where = f"prompt {prompt.id}" if row is None else f"row {row}"
    of = f" of {prompt.source}" if prompt.source else ""
    lacks = "has nothing in" if name in prompt.meta else "has no"
    way = (
        "name the column with a reference solution in the source's solution"
        if name == OF_A_SOLUTION
        else f"name it in the source's keep, or hint at one of {_names(prompt)}"
    )
    raise UserError(f"{where}{of} {lacks} column '{name}', which the hints need; {way}")


def _names(prompt: Prompt) -> str:
    return ", ".join(sorted(set(prompt.meta) - {"row"})) or "those that are kept, which are none"


def _filled(text: str, prompt: Prompt) -> str:
    parts = []

    def part(match: re.Match[str]) -> str:
        share = 1.0 if match.group(2) is None else float(match.group(2)) / 100
        parts.append(first_part(column(prompt, match.group(1)), share))
        return parts[-1]

    filled = COLUMN.sub(part, text)
    return filled if any(parts) or not parts else ""
