"""``p2o-show``: print what the records of a run say."""

from pathlib import Path

from p2o.cli.arguments.show import parser
from p2o.cli.light import light_command
from p2o.errors import UserError
from p2o.records import read
from p2o.report.drift import drifts
from p2o.report.runs import SAMPLED, Run, read_run
from p2o.report.show_problem import show_hint, show_problem
from p2o.report.show_run import show_run
from p2o.report.show_wrong import show_wrong
from p2o.report.shown import WIDTH
from p2o.running.terminal import Terminal


def show(run: Path, kind: str | None = None, start: str = "", everything: bool = False) -> None:
    """Print what is asked for.

    Args:
        run: Directory of a run of ``p2o-train``.
        kind: ``problem``, ``hint`` or ``wrong``; None for the run as a whole.
        start: How the id of a problem or hint begins.
        everything: Whether to show every rollout in full.

    Raises:
        UserError: There is no such run, problem or hint, or nothing on record.
    """
    records, console = read(run), Terminal(width=WIDTH)
    if not records.tables:
        raise UserError(
            f"{run}: no records in it; p2o-train writes them as it goes, unless it is told "
            "records.rollouts=none"
        )
    known = _known(run)
    is_sampled = known is not None and known.is_sampled
    if kind == "problem":
        show_problem(records, str(run), start, everything, console)
    elif kind == "hint":
        show_hint(records, start, console)
    elif kind == "wrong":
        show_wrong(records, str(run), everything, console)
    else:
        show_run(records, str(run), console, is_sampled)
        if known is not None:
            _show_drifts(known, console)
    for note in [*([SAMPLED] if is_sampled else []), *records.notes]:
        console.print(f"note: {note}", soft_wrap=True)


def _known(folder: Path) -> Run | None:
    """What there is of a run beside its records; None where that is nothing."""
    try:
        return read_run(folder)
    except UserError:
        return None


def _show_drifts(run: Run, console: Terminal) -> None:
    """Say what the metrics tell of lengths and pass@k, where the run has any."""
    sentences = drifts(run)
    if sentences:
        console.print()
        console.print("Has it drifted?", style="bold")
        console.print(" ".join(sentences))


def main() -> None:
    """Entry point of ``p2o-show``."""
    told = parser()
    arguments = told.parse_args()
    if arguments.kind in ("problem", "hint") and not arguments.start:
        told.error(f"{arguments.kind}: give how its id begins, such as p2o-show RUN problem 4f2a")
    with light_command():
        show(**vars(arguments))


if __name__ == "__main__":
    main()
