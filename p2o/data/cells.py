"""What is in a cell of a row, as text: exactly what the file has, or not at all."""

import re
import string
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any

KINDS = {
    list: "a list",
    tuple: "a list",
    dict: "an object",
    bytes: "bytes",
    datetime: "a point in time, which has more than one spelling",
}

FORMATTER = string.Formatter()


class NotText(Exception):
    """A cell has no one spelling as text; says what it is."""


def cell_text(value: Any) -> str:
    """A cell's text; that of nothing, and of what is no number, is empty.

    Example::

        >>> [cell_text(value) for value in ("00501", 2**53 + 1, Decimal("1.10"), True, None)]
        ['00501', '9007199254740993', '1.10', 'true', '']

    Raises:
        NotText: It is a list, an object or the like.
    """
    if value is None or value != value:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Decimal):
        # Not 1E+5, unless written out it fills lines.
        return f"{value:f}" if abs(value.adjusted()) < 30 else str(value)
    if isinstance(value, datetime) or not isinstance(value, str | int | float | date):
        raise NotText(KINDS.get(type(value), f"of type {type(value).__name__}"))
    text = str(value)
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise NotText("text with half of a character in it")
    return text


def look_up(row: Mapping[Any, Any], name: str) -> Any:
    """A cell, or what is inside of it: ``q.text``, ``q[text]`` and ``choices[0]``.

    Raises:
        LookupError: There is none of that name.
    """
    if name in row:
        return row[name]
    value: Any = row
    for part in re.split(r"[.\[\]]+", name.removesuffix("]")):
        if isinstance(value, Mapping):
            value = value[part]
        elif isinstance(value, list | tuple) and part.isdecimal():
            value = value[int(part)]
        else:
            raise LookupError(name)
    return value


def fields(text: str) -> list[str]:
    """Cells that a text names in braces.

    Raises:
        ValueError: A brace has no other, or a cell is formatted in a way that there is not.
    """
    found = []
    for _, field, form, _ in FORMATTER.parse(text):
        if field is not None:
            found.append(field)
        if form and re.search(r"\d{4}|[{}]", form):
            raise ValueError(f"{form!r} is no format; give a width of at most 999, and no braces")
    return found


def fill(text: str, row: Mapping[Any, Any]) -> str:
    """A text with cells in place of their names in braces.

    Raises:
        LookupError: There is no such cell.
        NotText: A cell is no text; says which.
        ValueError: A cell cannot be formatted as the text says.
    """
    made = ""
    for literal, field, form, conversion in FORMATTER.parse(text):
        made += literal
        if field is not None:
            value = look_up(row, field)
            try:
                shown = cell_text(value)
            except NotText as error:
                raise NotText(f"'{field}' is no text but {error}") from error
            if conversion or form:
                shown = format(FORMATTER.convert_field(value, conversion), form or "")
            made += shown
    return made


def plain(value: Any) -> Any:
    """A cell as values that every reader of JSON knows."""
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, Mapping):
        return {key: plain(each) for key, each in value.items()}
    return [plain(each) for each in value] if isinstance(value, list | tuple) else value
