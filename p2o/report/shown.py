"""How numbers, hints and responses of a run are shown in 80 columns."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

WIDTH = 80
SHORT = 8
"""Characters of an id that are shown; a command takes as many as make it clear."""
MOST_FACTS = 5
"""What is told of a problem beside its question."""


def table(title: str, *columns: str, left: Sequence[str] = ()) -> Table:
    """An empty table; numbers stand on the right, the columns named in `left` on the left."""
    made = Table(title=title or None, title_justify="left", pad_edge=False)
    for column in columns:
        side = "left" if column in left else "right"
        made.add_column(column, justify=side, overflow="fold")
    return made


def percent(value: float | None) -> str:
    """A share.

    >>> percent(0.256), percent(None)
    ('26 %', '-')
    """
    return "-" if value is None else f"{value:.0%}".replace("%", " %")


def number(value: float | None, form: str = ",") -> str:
    """A number, or a dash."""
    return "-" if value is None else format(value, form)


def clipped(text: str, longest: int) -> str:
    """Text in one line, cut at a length; what is cut is counted.

    >>> clipped("one two three four", 9)
    'one two t... (9 more characters)'
    """
    line = " ".join(text.split())
    if len(line) <= longest:
        return line
    return f"{line[:longest]}... ({len(line) - longest} more characters)"


def of(count: int, noun: str) -> str:
    """A number of things.

    >>> of(1, "problem"), of(2_000, "problem")
    ('1 problem', '2,000 problems')
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def about(problem: Mapping[str, Any]) -> str:
    """Where a problem comes from and what is known of it besides; empty for nothing.

    Args:
        problem: Row of the table ``problems``.

    Example::

        >>> about({"row": 17, "meta": '{"difficulty": "hard"}'})
        'row 17, difficulty: hard'
    """
    known = [] if problem.get("row") is None else [f"row {problem['row']}"]
    meta = json.loads(problem.get("meta") or "{}")
    known += [f"{name}: {clipped(str(value), 40)}" for name, value in meta.items()]
    return ", ".join(known[:MOST_FACTS])
