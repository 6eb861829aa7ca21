"""``p2o-report``: read runs, and write their report."""

import os
from collections.abc import Sequence
from pathlib import Path

from p2o.cli.arguments.report import parser
from p2o.cli.light import light_command
from p2o.report.arms import choose_arm, group_arms
from p2o.report.contents import Contents
from p2o.report.runs import read_run, told_apart
from p2o.report.story import tell
from p2o.report.write import PAGE, write_report


def report(
    runs: Sequence[Path],
    output: Path | None = None,
    against: str | None = None,
    figures: bool = True,
) -> Path:
    """Write the report of some runs; return its page.

    Args:
        runs: Directories of runs of ``p2o-train``.
        output: Folder; ``report`` in the run's directory, or in the one that all runs are in.
        against: The arm that others are compared with, by its name or a part of it.
        figures: Whether charts are written as files as well.

    Raises:
        UserError: A directory holds no run, an arm is not there, or nothing can be written.
    """
    folders = dict.fromkeys(run.resolve() for run in runs)
    # A report of all runs of a folder stands among them, and RUNS/*/ names it the next time.
    own = [folder for folder in folders if not _is_report(folder)]
    read = told_apart([read_run(folder) for folder in own or folders])
    arms = group_arms(read)
    contents = Contents([tell(run) for run in read], arms, choose_arm(arms, against))
    return write_report(contents, output or _folder(read[0].folder, len(read), runs), figures)


def _is_report(folder: Path) -> bool:
    return (folder / PAGE).is_file() and not (folder / ".hydra").exists()


def _folder(first: Path, number: int, runs: Sequence[Path]) -> Path:
    if number == 1:
        return first / "report"
    return Path(os.path.commonpath([run.resolve() for run in runs])) / "report"


def main() -> None:
    """Entry point of ``p2o-report``."""
    arguments = vars(parser().parse_args())
    with light_command():
        print(f"report: {report(**arguments)}")


if __name__ == "__main__":
    main()
