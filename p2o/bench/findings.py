"""All that came of a bench, read from its folder."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from p2o.bench.arms import Run
from p2o.bench.claims import Verdict, judge
from p2o.bench.outcomes import EndedRun, Result, read_outcome, results_of
from p2o.bench.processes import last_line
from p2o.bench.tasks import LOG

UNITS = {
    "rollouts": "rollouts",
    "tokens": "generated tokens",
    "flops": "operations",
    "seconds": "seconds",
}
"""What a budget may be given in, in words."""
NOT_STARTED = "has not been started"
"""Why a run did not end of which there is nothing."""


@dataclass(frozen=True)
class Findings:
    """What came of a bench.

    Attributes:
        results: Of each arm, by its name.
        failures: A run that did not end, in words, to why.
        verdicts: What was claimed and what came of it.
        reference: Name of the arm that the others are compared with.
        learned: Accuracy from which a policy counts as having learned.
        budget: What every run might spend, in words.
        axis: What curves are drawn over, in words.
    """

    results: Mapping[str, Result]
    failures: Mapping[str, str]
    verdicts: Sequence[Verdict]
    reference: str
    learned: float
    budget: str
    axis: str


def collect(runs: Sequence[Run], settings: Mapping[str, Any]) -> Findings:
    """Read what the runs of a bench have written.

    Args:
        runs: All of them; some may not have ended.
        settings: As `p2o.bench.settings.BenchSettings` has them.
    """
    [unit] = [name for name, amount in settings["budget"].items() if amount is not None]
    amount = settings["budget"][unit]
    outcomes: dict[str, list[EndedRun]] = {run.arm.name: [] for run in runs}
    failures: dict[str, str] = {}
    for run in runs:
        measured = run.arm.evaluation is None or results_of(run).is_file()
        if run.finished and measured:
            outcomes[run.arm.name].append(read_outcome(run, f"ledger/{unit}"))
        else:
            failures[f"{run.arm.label}, seed {run.seed}"] = _why(run)
    seeds = len({run.seed for run in runs})
    results = {
        run.arm.name: Result(run.arm, own, seeds - len(own), amount)
        for run, own in ((run, outcomes[run.arm.name]) for run in runs)
    }
    return Findings(
        results,
        failures,
        judge(settings["claims"], results),
        settings["against"] or next(iter(results)),
        settings["learned"],
        f"{amount:,} {UNITS[unit]}",
        UNITS[unit],
    )


def _why(run: Run) -> str:
    """Why a run has no outcome, as its program has said it."""
    folder = run.evaluation_folder if run.finished else run.folder
    # A launcher has one log for all seeds of an arm.
    logs = [path for path in (folder / LOG, folder.parent / LOG) if path.is_file()]
    return last_line(logs[0]) if logs else NOT_STARTED
