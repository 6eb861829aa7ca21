"""The tables with which a sweep ends: what each job's folder stands for, and means over seeds."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig
from rich.table import Table as Shown

from p2o.report.arms import APART, PLAIN, by_seed, final, group_arms
from p2o.report.runs import Run, read_run
from p2o.report.tables import Table, as_csv, as_markdown, as_text
from p2o.running.distributed import starting_rank
from p2o.running.files import written_whole
from p2o.running.terminal import Terminal

NAME = "sweep"
"""Of the files, without their endings."""
WIDE = 120
"""Columns of a terminal from which on folders are shown there."""


class SweepTables(Callback):
    """Keeps tables of a sweep beside its jobs, and shows them at its end."""

    def on_job_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Keep the tables of the jobs before this one: a sweep may be killed in any of them.

        Jobs of other launchers run side by side.
        """
        hydra = HydraConfig.get()
        one_by_one = str(hydra.launcher._target_).endswith("BasicLauncher")
        if hydra.mode == RunMode.MULTIRUN and one_by_one and starting_rank() == 0:
            folder = Path(hydra.sweep.dir)
            _write(folder, _tables(folder))

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Tell of all jobs in the folder, those of an earlier start included."""
        HydraConfig.instance().set_config(config)
        folder = Path(config.hydra.sweep.dir)
        tables = _tables(folder)
        if not tables or starting_rank() != 0:
            return
        jobs, arms = tables
        console = Terminal()
        # Names of folders take a line each.
        for table in (jobs if console.width >= WIDE else _for_narrow(jobs), arms):
            shown = Shown(title=table.title)
            for column in table.columns:
                shown.add_column(column.replace(" ", "\n"), overflow="fold")
            for row in table.rows:
                shown.add_row(*map(as_text, row))
            console.print(shown)
        _write(folder, tables)
        console.print(
            f"sweep directory: {folder}; which job is in which folder: {NAME}.md, {NAME}.csv",
            soft_wrap=True,
        )
        console.print(f"next: p2o-report {shlex.quote(str(folder))}/*/", soft_wrap=True)


def _tables(folder: Path) -> tuple[Table, ...]:
    """Of a sweep's jobs, and of its arms; none where there is no job."""
    runs = sweep_runs(folder)
    return (job_table(runs), arm_table(runs)) if runs else ()


def _write(folder: Path, tables: Sequence[Table]) -> None:
    if not tables:
        return
    jobs, arms = tables
    text = f"# Jobs\n\n{as_markdown(jobs)}\n# Means over seeds\n\n{as_markdown(arms)}"
    for name, content in ((f"{NAME}.md", text), (f"{NAME}.csv", as_csv(jobs))):
        with written_whole(folder / name, "w", encoding="utf-8") as file:
            file.write(content)


def sweep_runs(folder: Path) -> list[Run]:
    """The jobs of a sweep that were accepted, by their settings: names of folders may be hashes."""
    runs = [read_run(path.parents[1]) for path in sorted(folder.glob("*/.hydra/overrides.yaml"))]
    return sorted(runs, key=_told)


def job_table(runs: Sequence[Run]) -> Table:
    """A row for each job: its folder, the settings that it alone was told, what came of it."""
    told = [_told(run) for run in runs]
    shared = set(told[0]).intersection(*told) if len(runs) > 1 else set()
    rows = [
        [
            number,
            run.folder.name,
            ", ".join(each for each in own if each not in shared) or PLAIN,
            _percent(final(run, "accuracy")),
            _percent(final(run, "hard_accuracy")),
            run.summary.get("training_rollouts"),
            _end(run),
        ]
        for number, (run, own) in enumerate(zip(runs, told, strict=True))
    ]
    columns = ["job", "folder", "settings", "accuracy, %", "hard, %", "training rollouts", "end"]
    return Table("jobs", "Jobs of this sweep", columns, rows)


def arm_table(runs: Sequence[Run]) -> Table:
    """A row for each arm, which are jobs that differ in their seed alone."""
    rows: list[list[Any]] = []
    for arm, own in group_arms([run for run in runs if run.summary]).items():
        values = [100 * value for value in by_seed(own, "accuracy").values()]
        hard = [100 * value for value in by_seed(own, "hard_accuracy").values()]
        rows.append([arm, len(values), _mean(values), _deviation(values), _mean(hard)])
    columns = ["arm", "seeds", "accuracy, %", "standard deviation", "hard, %"]
    return Table("arms", "Means over seeds", columns, rows)


def _told(run: Run) -> list[str]:
    """What a job was told; how it is carried out is no part of it."""
    apart = {name for name in APART if name != "seed"}
    return [each for each in run.overrides if each.lstrip("+~").partition("=")[0] not in apart]


def _for_narrow(jobs: Table) -> Table:
    """Without the first columns, a number and a folder."""
    return Table(jobs.name, jobs.title, jobs.columns[2:], [row[2:] for row in jobs.rows])


def _end(run: Run) -> str:
    if not run.summary:
        return "not ended"
    return "stopped by a guard" if run.summary.get("collapse") else "finished"


def _percent(value: float | None) -> float | None:
    return None if value is None else round(100 * value, 1)


def _mean(values: Sequence[float]) -> float | None:
    return round(fmean(values), 1) if values else None


def _deviation(values: Sequence[float]) -> float | None:
    return round(stdev(values), 1) if len(values) > 1 else None
