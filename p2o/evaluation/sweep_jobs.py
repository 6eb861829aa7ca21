"""Jobs of a sweep of evaluations: their settings, their accuracies, and means over seeds."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev

import yaml

from p2o.running.secrets import hide_settings

PLAIN = "as configured"
"""A job that no other setting was told than all."""

Rows = Sequence[Sequence[str]]


@dataclass(frozen=True)
class Job:
    """One evaluation of a sweep.

    Attributes:
        name: Of its folder.
        told: Its settings.
        accuracies: In per cent, by benchmark; none where it has not ended.
    """

    name: str
    told: Sequence[str]
    accuracies: Mapping[str, float]


def read_jobs(folder: Path) -> list[Job]:
    """All jobs of a sweep that were accepted; one that was refused has left nothing there.

    Args:
        folder: Of a sweep of ``p2o-eval``.
    """
    paths = [path.parents[1] for path in sorted(folder.glob("*/.hydra/overrides.yaml"))]
    return [Job(path.name, _told(path), _accuracies(path)) for path in paths]


def accuracies(jobs: Sequence[Job]) -> tuple[list[str], Rows]:
    """A row for each job: its folder, the settings that it alone was told, and its accuracies.

    Returns:
        Names of columns, and rows; an accuracy in per cent, empty where a job has not ended.
    """
    shared = _shared(jobs)
    benchmarks = _benchmarks(jobs)
    rows = [
        [job.name, _alone(job.told, shared), *map(_number, map(job.accuracies.get, benchmarks))]
        for job in jobs
    ]
    return ["folder", "settings", *benchmarks], sorted(rows, key=lambda row: row[1])


def means_over_seeds(jobs: Sequence[Job]) -> tuple[list[str], Rows]:
    """A row for each benchmark of jobs that differ in their seed alone.

    Returns:
        Names of columns, and rows; none where no two jobs that have ended differ in that alone.
    """
    ended = [job for job in jobs if job.accuracies]
    shared = _shared(jobs)
    arms: dict[str, list[Job]] = {}
    for job in ended:
        arms.setdefault(_alone(_without_seed(job.told), shared), []).append(job)
    columns = ["settings", "benchmark", "seeds", "accuracy, %", "standard deviation"]
    if len(arms) == len(ended):
        return columns, []
    rows = []
    for settings, own in sorted(arms.items()):
        for benchmark in _benchmarks(own):
            values = [job.accuracies[benchmark] for job in own if benchmark in job.accuracies]
            deviation = stdev(values) if len(values) > 1 else None
            numbers = (_number(fmean(values)), _number(deviation))
            rows.append([settings, benchmark, str(len(values)), *numbers])
    return columns, rows


def _told(folder: Path) -> list[str]:
    """Settings as they were written: a reference may be to a key, which is not to be shown."""
    text = (folder / ".hydra" / "overrides.yaml").read_text(encoding="utf-8")
    return [hide_settings(each) for each in yaml.safe_load(text)]


def _accuracies(folder: Path) -> dict[str, float]:
    path = folder / "results.json"
    if not path.is_file():
        return {}
    benchmarks = json.loads(path.read_text(encoding="utf-8"))["benchmarks"]
    return {name: 100 * result["accuracy"] for name, result in benchmarks.items()}


def _benchmarks(jobs: Sequence[Job]) -> list[str]:
    return [*dict.fromkeys(name for job in jobs for name in job.accuracies)]


def _shared(jobs: Sequence[Job]) -> set[str]:
    """Settings that all jobs were told, of several."""
    told = [job.told for job in jobs]
    return set(told[0]).intersection(*told) if len(jobs) > 1 else set()


def _alone(told: Sequence[str], shared: set[str]) -> str:
    return ", ".join(each for each in told if each not in shared) or PLAIN


def _without_seed(told: Sequence[str]) -> list[str]:
    return [each for each in told if each.lstrip("+").partition("=")[0] != "seed"]


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"
