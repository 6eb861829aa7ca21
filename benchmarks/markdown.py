"""Numbers and tables as Markdown."""

from collections.abc import Iterable, Sequence

MISSING = "not measured"


def table(header: Sequence[str], rows: Iterable[Sequence[str]], sides: str = "") -> str:
    """A table.

    Args:
        header: Of each column.
        rows: Cells.
        sides: ``l`` or ``r`` for each column; all but the first to the right when left out.
    """
    sides = sides or "l" + "r" * (len(header) - 1)
    rule = ["---:" if side == "r" else "---" for side in sides]
    return "".join(f"| {' | '.join(row)} |\n" for row in (header, rule, *rows))


def items(lines: Iterable[str]) -> str:
    """A list."""
    return "".join(f"- {line}\n" for line in lines)


def number(value: float | None) -> str:
    """A number of two decimals."""
    return MISSING if value is None else f"{value:.2f}"


def percent(value: float | None) -> str:
    """A share."""
    return MISSING if value is None else f"{100 * value:.1f} %"


def seconds(value: float) -> str:
    """Seconds, in three digits or so."""
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}" if value >= 1 else f"{value:.3f}"


def gibibytes(value: float) -> str:
    """An amount of memory, given in bytes."""
    return f"{value / 2**30:.2f}"
