"""The table with which a sweep of evaluations ends: what each job was told, and its accuracies."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from hydra.core.hydra_config import HydraConfig
from hydra.experimental.callback import Callback
from omegaconf import DictConfig
from rich.table import Table

from p2o.running.files import written_whole
from p2o.running.secrets import hide_settings
from p2o.running.terminal import Terminal

NAME = "sweep.csv"
PLAIN = "as configured"
"""A job that no other setting was told than all."""


class EvaluationTable(Callback):
    """Shows the accuracies of a sweep's jobs at its end, and keeps them beside the jobs."""

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Tell of all jobs in the folder, those of an earlier start included."""
        HydraConfig.instance().set_config(config)
        folder = Path(config.hydra.sweep.dir)
        columns, rows = accuracies(folder)
        if not rows:
            return
        table = Table(title="Accuracy, %")
        # Names of folders take a line each.
        for number, column in enumerate(columns[1:]):
            table.add_column(column, overflow="fold", justify="right" if number else "left")
        for row in rows:
            table.add_row(*row[1:])
        console = Terminal()
        console.print(table)
        with written_whole(folder / NAME, "w", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows([columns, *rows])
        console.print(f"sweep directory: {folder}; its jobs: {NAME}", soft_wrap=True)


def accuracies(folder: Path) -> tuple[list[str], list[list[str]]]:
    """A row for each job: its folder, the settings that it alone was told, and its accuracies.

    Args:
        folder: Of a sweep of ``p2o-eval``. Jobs that were refused have left nothing there.

    Returns:
        Names of columns, and rows; an accuracy in per cent, empty where a job has not ended.
    """
    jobs = [path.parents[1] for path in sorted(folder.glob("*/.hydra/overrides.yaml"))]
    # As they were written: a reference may be to a key, which is not to be shown.
    told = [_written(job / ".hydra" / "overrides.yaml") for job in jobs]
    shared = set(told[0]).intersection(*told) if len(jobs) > 1 else set()
    results = [_results(job) for job in jobs]
    names = [*dict.fromkeys(name for result in results for name in result)]
    rows = [
        [job.name, _alone(own, shared), *(result.get(name, "") for name in names)]
        for job, own, result in zip(jobs, told, results, strict=True)
    ]
    return ["folder", "settings", *names], sorted(rows, key=lambda row: row[1])


def _written(overrides: Path) -> list[str]:
    return [hide_settings(each) for each in yaml.safe_load(overrides.read_text(encoding="utf-8"))]


def _alone(told: Sequence[str], shared: set[str]) -> str:
    return ", ".join(each for each in told if each not in shared) or PLAIN


def _results(job: Path) -> dict[str, str]:
    path = job / "results.json"
    if not path.is_file():
        return {}
    benchmarks = json.loads(path.read_text(encoding="utf-8"))["benchmarks"]
    return {name: f"{100 * result['accuracy']:.1f}" for name, result in benchmarks.items()}
