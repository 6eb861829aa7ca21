"""The table in which a sweep ends: what its settings came to, as means over seeds."""

import csv
import shlex
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig
from rich.box import SIMPLE_HEAD
from rich.table import Table

from p2o.report.arms import Arms, by_seed, final, group_arms
from p2o.report.runs import Run, read_run
from p2o.report.shown import WIDTH
from p2o.running.files import written_whole
from p2o.running.terminal import Terminal

FILE = "sweep.csv"
"""In the folder of a sweep: which run is in which folder, and what came of it."""


class SweepTable(Callback):
    """Shows what came of a sweep once its last job has ended."""

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Show the table."""
        print_sweep(Path(config.hydra.sweep.dir), Terminal(width=WIDTH))


def print_sweep(folder: Path, console: Terminal) -> None:
    """Show all runs in the folder of a sweep that have ended, those of earlier starts too.

    Args:
        folder: Of the sweep, with a folder for each run. Nothing is shown where none has ended.
        console: Where to.
    """
    runs = [read_run(path.parent) for path in sorted(folder.glob("*/summary.json"))]
    if not runs:
        return
    arms = dict(sorted(group_arms(runs).items()))
    title = "Accuracy without any template, %: mean ± standard deviation over seeds"
    shown = Table(title=title, box=SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0))
    shown.add_column("settings", overflow="fold")
    for column in ("seeds", "before", "after", "hard, after", "rollouts"):
        shown.add_column(column, justify="right", no_wrap=True)
    for name, arm in arms.items():
        shown.add_row(name + _stopped(arm), *_cells(arm))
    console.print(shown)
    _write_runs(folder / FILE, arms)
    console.print(f"every run and its folder: {folder / FILE}", soft_wrap=True)
    console.print(f"next: p2o-report {shlex.quote(str(folder))}/*/", soft_wrap=True)


def _cells(arm: Sequence[Run]) -> list[str]:
    after, hard = (list(by_seed(arm, key).values()) for key in ("accuracy", "hard_accuracy"))
    cells = map(_percent, ([_before(run) for run in arm], after, hard))
    return [str(len({run.seed for run in arm})), *cells, f"{fmean(map(_rollouts, arm)):,.0f}"]


def _write_runs(path: Path, arms: Arms) -> None:
    columns = ("folder", "settings", "seed", "before", "after", "hard_after", "rollouts")
    with written_whole(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        for name, arm in arms.items():
            for run in arm:
                ends = [final(run, key) for key in ("accuracy", "hard_accuracy")]
                cells = [run.folder.name, name, run.seed, _before(run), *ends, _rollouts(run)]
                writer.writerow(cells)


def _before(run: Run) -> float | None:
    return run.summary["accuracy"]["before"]


def _rollouts(run: Run) -> float:
    """Those of training and search; held-out evaluation is the same for all runs of a sweep."""
    phases = run.summary["ledger"].items()
    return sum(counts["rollouts"] for phase, counts in phases if phase != "evaluation")


def _percent(values: Sequence[float | None]) -> str:
    known = [100 * value for value in values if value is not None]
    if not known:
        return "-"
    return f"{fmean(known):.1f}" + (f" ± {stdev(known):.1f}" if len(known) > 1 else "")


def _stopped(arm: Sequence[Run]) -> str:
    """How many runs a guard has stopped."""
    stopped = sum(run.summary.get("collapse") is not None for run in arm)
    return f" ({stopped} collapsed)" if stopped else ""
