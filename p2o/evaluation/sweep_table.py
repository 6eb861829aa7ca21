"""The tables with which a sweep of evaluations ends: its jobs, and means over seeds."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.experimental.callback import Callback
from omegaconf import DictConfig
from rich.table import Table

from p2o.evaluation.sweep_jobs import Rows, accuracies, means_over_seeds, read_jobs
from p2o.running.files import written_whole
from p2o.running.terminal import Terminal

JOBS, MEANS = "sweep.csv", "means.csv"


class EvaluationTable(Callback):
    """Shows the accuracies of a sweep's jobs at its end, and keeps them beside the jobs."""

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Tell of all jobs in the folder, those of an earlier start included."""
        HydraConfig.instance().set_config(config)
        folder = Path(config.hydra.sweep.dir)
        jobs = read_jobs(folder)
        if not jobs:
            return
        console = Terminal()
        columns, rows = accuracies(jobs)
        # Names of folders take a line each.
        console.print(_shown("Accuracy, %", columns[1:], [row[1:] for row in rows], texts=1))
        _write(folder / JOBS, columns, rows)
        kept = f"its jobs: {JOBS}"
        columns, rows = means_over_seeds(jobs)
        if rows:
            console.print(_shown("Means over seeds", columns, rows, texts=2))
            _write(folder / MEANS, columns, rows)
            kept += f"; means over seeds: {MEANS}"
        console.print(f"sweep directory: {folder}; {kept}", soft_wrap=True)


def _shown(title: str, columns: Sequence[str], rows: Rows, texts: int) -> Table:
    """A table whose first columns are texts, and whose others are numbers."""
    table = Table(title=title)
    for number, column in enumerate(columns):
        justify = "left" if number < texts else "right"
        table.add_column(column, overflow="fold", justify=justify)
    for row in rows:
        table.add_row(*row)
    return table


def _write(path: Path, columns: Sequence[str], rows: Rows) -> None:
    with written_whole(path, "w", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([columns, *rows])
