"""``p2o-bench``: arms against each other at equal spending, several seeds each."""

import importlib.util
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from p2o.bench.arms import Run, budget_settings, make_arms, make_runs, refuse_others
from p2o.bench.claims import check_claims
from p2o.bench.curves import band
from p2o.bench.findings import NOT_STARTED, Findings, collect
from p2o.bench.page import page
from p2o.bench.processes import Task, cores, last_line, run_side_by_side
from p2o.bench.settings import BenchSettings
from p2o.bench.tables import accuracy_cells, claim_cells, numbers, shown, spending_cells, without
from p2o.bench.tasks import evaluation_tasks, launched_tasks, training_tasks
from p2o.cli.program import expected_errors, run_program
from p2o.cli.settings import TrainSettings
from p2o.configuration.build import CONFIG_NAME as TRAIN
from p2o.configuration.misnamed import options_of
from p2o.configuration.overrides import check_overrides
from p2o.errors import UserError, located
from p2o.report.figures import spending_curves
from p2o.running.console import ended_by_interrupt, quieten_libraries
from p2o.running.files import written_whole
from p2o.running.preemption import handled_signals
from p2o.running.run_folder import one_run_in
from p2o.running.secrets import hide_settings
from p2o.running.terminal import Terminal
from p2o_callbacks.spoken import several

CONFIG_NAME = "bench"
OF_ALL_RUNS = ("resume=auto", "save_policy=null")
"""Settings of every run; a bench or an arm may say otherwise."""
WIDTH = 80
"""Columns of the tables, whatever the terminal has: they are pasted elsewhere."""


def bench(config: DictConfig) -> Findings:
    """Run what is to be run, and tell what came of all.

    Args:
        config: Of ``p2o-bench``.

    Raises:
        UserError: Something cannot work; nothing has been run.
    """
    settings: Any = OmegaConf.to_container(config, resolve=True)
    folder, more = Path(settings["folder"]).resolve(), _config_folder()
    _check(settings, more)
    seeds = settings["seeds"]
    runs = make_runs(
        make_arms(settings["arms"]),
        range(seeds) if isinstance(seeds, int) else dict.fromkeys(seeds),
        folder,
        OF_ALL_RUNS,
        budget_settings(settings["budget"]),
        settings["overrides"],
    )
    _check_arms(runs, more)
    refuse_others(runs)
    folder.mkdir(parents=True, exist_ok=True)
    if settings["run"]:
        with one_run_in(folder):
            _run_all(runs, settings["jobs"], settings["launcher"], more)
    findings = collect(runs, settings)
    _print(findings)
    _write(findings, settings, folder)
    return findings


def _check(settings: dict[str, Any], more: Sequence[str]) -> None:
    arms, against = settings["arms"], settings["against"]
    if not arms or settings["seeds"] == []:
        raise UserError("arms or seeds: there is none; choose some, arm=[grpo,p2o] seeds=3")
    if against is not None and against not in arms:
        raise UserError(
            f"against={against}: no such arm here; give null or one of {', '.join(arms)}"
        )
    others = options_of("arm", Path(more[-1]) if more else None)
    check_claims(settings["claims"], {*arms, *others})
    if settings["figure"] is not None and importlib.util.find_spec("matplotlib") is None:
        raise UserError(
            f"figure={settings['figure']}: needs pip install matplotlib; or give figure=null"
        )


def _check_arms(runs: Sequence[Run], more: Sequence[str]) -> None:
    """Refuse an arm of which ``p2o-train`` would not take the settings."""
    # Hydra composes one configuration at a time; this program's own has been composed.
    GlobalHydra.instance().clear()
    for run in {run.arm.name: run for run in runs}.values():
        with located(f"arms.{run.arm.name}"):
            check_overrides([*more, *run.overrides], TRAIN, TrainSettings)


def _config_folder() -> list[str]:
    """The folder with more configuration files, as a flag for the programs that are started."""
    sources = HydraConfig.get().runtime.config_sources
    own = [source.path for source in sources if source.provider == "command-line"]
    return ["--config-dir", own[0]] if own else []


def _run_all(
    runs: Sequence[Run], jobs: int | None, launcher: Sequence[str], more: Sequence[str]
) -> None:
    console = Terminal()
    waiting = [run for run in runs if not run.finished]
    at_once = jobs or cores()
    where = " ".join(launcher) if launcher else f"{at_once} at a time"
    done = len(runs) - len(waiting)
    runs_in_words = several(len(runs), "run")
    console.print(f"{runs_in_words}, {done} of them ended before; {where}", soft_wrap=True)
    if launcher:
        tasks = launched_tasks(waiting, launcher, more)
        _run_tasks(tasks, max(len(tasks), 1), console)
    else:
        _run_tasks(training_tasks(waiting, more), at_once, console)
    _run_tasks(evaluation_tasks([run for run in runs if run.finished], more), at_once, console)


def _run_tasks(tasks: Sequence[Task], at_once: int, console: Terminal) -> None:
    spent: list[float] = []

    def ended(task: Task, status: int, seconds: float) -> None:
        spent.append(seconds)
        waiting = len(tasks) - len(spent)
        said = "done" if status == 0 else f"exit status {status}: {last_line(task.log)}"
        left = sum(spent) / len(spent) * waiting / min(at_once, len(tasks))
        more = f"; about {left / 60:.0f} min left" if waiting else ""
        line = f"[{len(spent)}/{len(tasks)}] {task.name}: {said} ({seconds:.0f} s{more})"
        console.print(line, soft_wrap=True)

    run_side_by_side(tasks, at_once, ended)


def _print(findings: Findings) -> None:
    console = Terminal(width=WIDTH)
    cells = without(accuracy_cells(findings), "hard")
    console.print(shown(f"Held-out accuracy, %; {findings.budget} each", cells))
    console.print(shown("What was spent, means over seeds", spending_cells(findings)))
    if findings.verdicts:
        console.print(shown("Claims", claim_cells(findings)))
    waiting = [run for run, why in findings.failures.items() if why == NOT_STARTED]
    for run, why in findings.failures.items():
        if run not in waiting:
            console.print(f"{run} did not end: {why}", soft_wrap=True)
    if waiting:
        more = f" and {len(waiting) - 1:,} more" if waiting[1:] else ""
        console.print(f"not started: {waiting[0]}{more}", soft_wrap=True)


def _write(findings: Findings, settings: dict[str, Any], folder: Path) -> None:
    """Write the page, the numbers and the curves, and say where."""
    report = Path(settings["page"] or folder / "bench.md")
    figure = None if settings["figure"] is None else _draw(findings, Path(settings["figure"]))
    # The command of a page is the one that repeats it.
    given = [each for each in HydraConfig.get().overrides.task if each != "run=false"]
    command = shlex.join(["p2o-bench", *map(hide_settings, given)])
    beside = None if figure is None else os.path.relpath(figure, report.parent)
    texts = {
        report: page(findings, settings["title"], settings["text"], command, beside),
        folder / "bench.csv": numbers(findings),
    }
    for path, text in texts.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        with written_whole(path, "w", encoding="utf-8") as file:
            file.write(text)
    made = [*texts, *([] if figure is None else [figure])]
    console = Terminal()
    console.print(f"written: {', '.join(map(str, made))}", soft_wrap=True)
    if any(result.outcomes for result in findings.results.values()):
        runs = f"{shlex.quote(str(folder))}/*/*/"
        console.print(f"next: p2o-report {runs}  all runs on one page", soft_wrap=True)


def _draw(findings: Findings, path: Path) -> Path | None:
    """Draw the curves; returns where, or None when there are none."""
    bands = {
        result.arm.label: band([outcome.curve for outcome in result.outcomes], result.end)
        for result in findings.results.values()
        if result.outcomes and result.arm.evaluation is None
    }
    if not bands:
        return None
    path.parent.mkdir(parents=True, exist_ok=True)
    spending_curves(bands, path, findings.axis, findings.results[findings.reference].arm.label)
    return path


def _run(config: DictConfig) -> None:
    quieten_libraries()
    with expected_errors(way_on="the same command goes on", place="folder"), handled_signals():
        findings = bench(config)
    if findings.failures:
        sys.exit(1)


@ended_by_interrupt
def main() -> None:
    """Entry point of ``p2o-bench``."""
    run_program("p2o-bench", CONFIG_NAME, BenchSettings, _run)


if __name__ == "__main__":
    main()
