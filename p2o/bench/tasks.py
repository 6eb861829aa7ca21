"""Runs as programs: trainings, here or through a launcher of Hydra's, and evaluations."""

from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path

from p2o.bench.arms import Run
from p2o.bench.outcomes import results_of
from p2o.bench.processes import Task
from p2o.errors import UserError
from p2o.evaluation.templates import read_pool

LOG = "log.txt"


def training_tasks(runs: Iterable[Run], more: Sequence[str]) -> list[Task]:
    """A program for each run; one that was killed goes on.

    Args:
        runs: What is to be trained.
        more: Flags for all, such as ``--config-dir``.
    """
    return [
        Task(
            run.name,
            ("-m", "p2o.cli.train", *more, *run.overrides, f"hydra.run.dir={_path(run.folder)}"),
            run.folder / LOG,
        )
        for run in runs
    ]


def launched_tasks(runs: Iterable[Run], launcher: Sequence[str], more: Sequence[str]) -> list[Task]:
    """A sweep over seeds for each arm, which a launcher of Hydra's takes to other machines.

    Args:
        runs: What is to be trained.
        launcher: Settings that choose it, such as ``hydra/launcher=submitit_slurm``.
        more: Flags for all, such as ``--config-dir``.
    """
    tasks = []
    for name, group in groupby(sorted(runs, key=_arm), key=_arm):
        own = list(group)
        settings = [s for s in own[0].overrides if s != f"seed={own[0].seed}"]
        folder = own[0].folder.parent
        arguments = (
            *("-m", "p2o.cli.train", "--multirun", *more, *launcher, *settings),
            f"seed={','.join(str(run.seed) for run in own)}",
            f"hydra.sweep.dir={_path(folder)}",
            "hydra.sweep.subdir=seed${seed}",
        )
        tasks.append(Task(name, arguments, folder / LOG))
    return tasks


def evaluation_tasks(runs: Iterable[Run], more: Sequence[str]) -> list[Task]:
    """``p2o-eval`` with the templates of each run whose arm is measured with them.

    They are those of the last pool with a template in use. A run without one is measured bare.

    Args:
        runs: Trainings that have ended.
        more: Flags for all, such as ``--config-dir``.
    """
    tasks = []
    for run in runs:
        if run.evaluation is None or results_of(run).is_file():
            continue
        pool, folder = _last_pool(run.folder / "evolution"), run.evaluation_folder
        template = [] if pool is None else [f"template={_path(pool)}"]
        arguments = (
            *("-m", "p2o.cli.eval", *more, *run.evaluation),
            *(f"run={_path(run.folder)}", *template, f"hydra.run.dir={_path(folder)}"),
        )
        tasks.append(Task(f"{run.name}, evaluation", arguments, folder / LOG))
    return tasks


def _last_pool(folder: Path) -> Path | None:
    """The last pool with a template in use: where no problem is hard, an empty one is published."""
    for path in sorted(folder.glob("epoch_*.json"), reverse=True):
        try:
            if read_pool(path).in_use:
                return path
        except UserError:
            # The evaluation says what is wrong with it, and other runs go on.
            return path
    return None


def _arm(run: Run) -> str:
    return run.arm.name


def _path(path: Path) -> str:
    """A path as a value that Hydra reads, whatever is in it."""
    escaped = str(path).replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
