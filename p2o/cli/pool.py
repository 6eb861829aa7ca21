"""``p2o-pool``: show, compare and export the hints of a pool, or put one in front of prompts."""

import argparse
import json
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

from rich.table import Table

from p2o.cli.arguments.pool import parser
from p2o.cli.light import light_command
from p2o.data.files import read_file
from p2o.errors import UserError
from p2o.hints.pool_export import as_gepa, into_dspy, put_before, without_turn_marks
from p2o.hints.pool_file import INSTRUCTION, Origin, PooledHint, PoolFile, read_pool
from p2o.running.finite import finite
from p2o.running.terminal import Terminal

SURROGATE = re.compile("[\ud800-\udfff]")
WIDTH = 80
ID = 12


def show(pool: PoolFile, everything: bool, console: Terminal) -> None:
    """Print the hints, those in use first.

    Args:
        pool: Of a run.
        everything: Whether to print those that are not in use as well.
        console: Where to.
    """
    console.print(f"model: {_origin(pool.model)}")
    console.print(f"data:  {_origin(pool.data)}")
    shown = [hint for hint in pool.ranked if everything or hint.in_use]
    table = Table(title=f"{len(shown)} of {len(pool.hints)} hints", title_justify="left")
    for name in ("id", "used", "score", "solved"):
        table.add_column(name, justify="left" if name == "id" else "right", no_wrap=True)
    table.add_column("hint", ratio=1)
    for hint in shown:
        used = "yes" if hint.in_use else ""
        solved = f"{hint.solved}/{hint.tried}" if hint.tried else "-"
        table.add_row(hint.id, used, _score(hint.score), solved, hint.text)
    console.print(table)
    if len(shown) < len(pool.hints):
        console.print(f"{len(pool.hints) - len(shown)} more are not in use; --all shows them")


def diff(one: PoolFile, other: PoolFile, console: Terminal) -> None:
    """Print what two pools have in common, and what not.

    Args:
        one: The first.
        other: The second.
        console: Where to.
    """
    for name, here, there in (
        ("model", one.model, other.model),
        ("data", one.data, other.data),
    ):
        same = here.sha256 == there.sha256
        says = "the same" if same else f"{_origin(here)} and {_origin(there)}"
        console.print(f"{name}: {says}")
    if one.model.sha256 != other.model.sha256 or one.data.sha256 != other.data.sha256:
        console.print("Scores of different models or data cannot be compared.")
    first, second = ({hint.id: hint for hint in pool.hints} for pool in (one, other))
    table = Table(title="Hints of the first and of the second", title_justify="left")
    for name in ("", "id", "first", "second"):
        table.add_column(name, justify="left" if name in ("", "id") else "right", no_wrap=True)
    table.add_column("hint", ratio=1)
    for hint_id, hint in (first | second).items():
        mark = "-" if hint_id not in second else "+" if hint_id not in first else "="
        scores = [_place(pool.get(hint_id)) for pool in (first, second)]
        table.add_row(mark, hint_id, *scores, hint.text)
    console.print(table)
    console.print("- in the first alone, + in the second alone, * in use")


def chosen(pool: PoolFile, hint: str | None) -> PooledHint:
    """The hint with an id that begins like this, or the best one.

    Raises:
        UserError: There is none, or more than one.
    """
    if hint is None:
        return pool.best
    found = [each for each in pool.hints if each.id.startswith(hint)]
    if len(found) != 1:
        known = "several ids begin so" if found else "there is no such id; p2o-pool show --all"
        raise UserError(f"--hint={hint}: {known}")
    if found[0].kind != INSTRUCTION:
        raise UserError(f"--hint={hint}: is more than a text, which no other project takes")
    return found[0]


def export(pool: PoolFile, arguments: argparse.Namespace) -> str:
    """What another project takes.

    Args:
        pool: Of a run.
        arguments: Of the command line.

    Raises:
        UserError: Something is missing for it.
    """
    text = without_turn_marks(chosen(pool, arguments.hint).text)
    if arguments.to == "text":
        return text + "\n"
    if arguments.to == "gepa":
        return as_gepa(text, arguments.component)
    if arguments.program is None:
        raise UserError(
            "--to=dspy: needs --program=FILE, what program.save('program.json') wrote; its "
            "instructions are replaced"
        )
    try:
        program = json.loads(arguments.program.read_text(encoding="utf-8"))
        return into_dspy(text, program, arguments.predictor)
    except (OSError, ValueError, UserError) as error:
        raise UserError(f"--program={arguments.program}: {error}") from error


def apply(pool: PoolFile, arguments: argparse.Namespace) -> str:
    """Rows of a file with the hint before each prompt, one JSON object a line.

    Args:
        pool: Of a run.
        arguments: Of the command line.

    Raises:
        UserError: The file cannot be read, or has no such column.
    """
    text = without_turn_marks(chosen(pool, arguments.hint).text)
    rows = read_file(arguments.prompts)
    try:
        hinted = put_before(text, rows, arguments.column)
    except UserError as error:
        raise UserError(f"{arguments.prompts}: {error}") from error
    return "".join(
        json.dumps(finite(row), ensure_ascii=False, default=_plain) + "\n" for row in hinted
    )


def _plain(value: object) -> object:
    """What JSON does not know: decimals, which files of numbers are read as, and dates."""
    return float(value) if isinstance(value, Decimal) else str(value)


def _origin(origin: Origin) -> str:
    return f"{origin.name} ({origin.sha256[:ID]})"


def _score(score: float | None) -> str:
    return "-" if score is None else f"{score:.2f}"


def _place(hint: PooledHint | None) -> str:
    return "" if hint is None else f"{_score(hint.score)}{'*' if hint.in_use else ' '}"


def _write(text: str, output: Path | None) -> None:
    # Rows and programs may hold halves of pairs, which have no bytes but a spelling in JSON.
    text = SURROGATE.sub(lambda half: f"\\u{ord(half[0]):04x}", text)
    if output is None:
        print(text, end="")
        return
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(f"--output={output}: cannot be written ({error})") from error


def _run(arguments: argparse.Namespace) -> None:
    pool = read_pool(arguments.pool)
    console = Terminal(width=WIDTH)
    makers: dict[str, Any] = {"export": export, "apply": apply}
    if arguments.command == "show":
        show(pool, arguments.all, console)
    elif arguments.command == "diff":
        diff(pool, read_pool(arguments.other), console)
    else:
        _write(makers[arguments.command](pool, arguments), arguments.output)


def main() -> None:
    """Entry point of ``p2o-pool``."""
    arguments = parser().parse_args()
    with light_command():
        _run(arguments)


if __name__ == "__main__":
    main()
