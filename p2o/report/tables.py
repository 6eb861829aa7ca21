"""Tables of a report, for spreadsheets, pages and papers."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "±": r"$\pm$",
    "–": "--",
    **{character: f"\\{character}" for character in "&%$#_{}"},
}


@dataclass(frozen=True)
class Table:
    """Rows under named columns.

    Attributes:
        name: Of its files.
        title: What it shows.
        columns: Their names.
        rows: A value for each column: a number, a text, or None.
    """

    name: str
    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]


def as_text(value: Any) -> str:
    """A value as it is read: numbers short, a missing one as a dash."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        # Four digits, and all of those before the point.
        whole = value.is_integer() or abs(value) >= 1000
        return f"{value:,.0f}" if whole else f"{value:.4g}"
    return str(value)


def as_csv(table: Table) -> str:
    """Comma-separated values, numbers in full; a missing one is an empty cell."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(table.columns)
    writer.writerows([["" if value is None else value for value in row] for row in table.rows])
    return file.getvalue()


def as_markdown(table: Table) -> str:
    """A table of GitHub's Markdown; numbers are right-aligned."""

    def cell(value: Any) -> str:
        text = escape(as_text(value), quote=False)
        return " ".join(text.replace("\\", "\\\\").replace("|", "\\|").split())

    lines = [
        [cell(name) for name in table.columns],
        ["---:" if _is_number(table, place) else "---" for place in range(len(table.columns))],
        *([cell(value) for value in row] for row in table.rows),
    ]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def as_latex(table: Table) -> str:
    """A ``tabular`` that needs no package."""

    def line(values: Sequence[Any]) -> str:
        texts = (" ".join(as_text(value).split()) for value in values)
        return " & ".join("".join(LATEX.get(c, c) for c in text) for text in texts) + r" \\"

    kinds = "".join("r" if _is_number(table, place) else "l" for place in range(len(table.columns)))
    lines = [f"\\begin{{tabular}}{{{kinds}}}", r"\hline", line(table.columns), r"\hline"]
    return "\n".join([*lines, *map(line, table.rows), r"\hline", r"\end{tabular}", ""])


def as_html(table: Table) -> str:
    """A table of HTML in a box that scrolls sideways; all text is escaped."""
    numeric = [_is_number(table, place) for place in range(len(table.columns))]

    def cells(values: Sequence[Any], tag: str) -> str:
        return "".join(
            f"<{tag}{' class=number' if right else ''}>{escape(as_text(value))}</{tag}>"
            for value, right in zip(values, numeric, strict=True)
        )

    body = "".join(f"<tr>{cells(row, 'td')}</tr>" for row in table.rows)
    head = f"<tr>{cells(table.columns, 'th')}</tr>"
    caption = f"<caption>{escape(table.title)}</caption>"
    parts = f"{caption}<thead>{head}</thead><tbody>{body}</tbody>"
    return f'<div class="scroll"><table>{parts}</table></div>'


def _is_number(table: Table, place: int) -> bool:
    values = [row[place] for row in table.rows if row[place] is not None]
    return bool(values) and all(type(value) in (int, float) for value in values)
