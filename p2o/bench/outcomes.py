"""What came of a run, and what several of them say together."""

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from p2o.bench.arms import Arm, Run
from p2o.evaluation.statistics import bootstrap_interval

ENOUGH_SEEDS = 5
"""From which on an interval is given: fewer values tell too little of how they spread."""

Curve = Sequence[tuple[float, float]]
"""Points (spent, held-out accuracy), in order of spending."""


@dataclass(frozen=True)
class EndedRun:
    """A run that has ended.

    Attributes:
        seed: Its seed.
        summary: Its ``summary.json``.
        curve: Accuracy over what was spent.
        templated: Accuracy with templates, of an arm that is measured so.
    """

    seed: int
    summary: Mapping[str, Any]
    curve: Curve
    templated: float | None = None

    @property
    def accuracy(self) -> float:
        """At the end, on held-out problems."""
        return self.summary["accuracy"]["after"] if self.templated is None else self.templated

    @property
    def hard_accuracy(self) -> float | None:
        """The same on those that the untrained policy never solved; None where there is none."""
        return None if self.templated is not None else self.summary["hard_accuracy"]["after"]


@dataclass(frozen=True)
class Spread:
    """Mean and standard deviation of seeds.

    Attributes:
        mean: The mean.
        deviation: The standard deviation of a sample; 0 of a single seed.
        seeds: How many.
    """

    mean: float
    deviation: float
    seeds: int


@dataclass(frozen=True)
class Difference:
    """One arm minus another, seed by seed.

    Attributes:
        mean: Of the differences.
        interval: 95 % bootstrap interval of that; None where seeds are too few.
        seeds: Those that both arms have.
    """

    mean: float
    interval: tuple[float, float] | None
    seeds: int


def read_outcome(run: Run, spent: str) -> EndedRun:
    """Read what a finished run has written.

    Args:
        run: The run.
        spent: Column of ``metrics.csv`` with what was spent.
    """
    with (run.folder / "metrics.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row.get("val/accuracy")]
    curve = [(float(row[spent]), float(row["val/accuracy"])) for row in rows]
    summary = json.loads((run.folder / "summary.json").read_text())
    return EndedRun(run.seed, summary, curve, _templated(run))


def results_of(run: Run) -> Path:
    """Where ``p2o-eval`` writes what it has measured of a run."""
    return run.evaluation_folder / "results.json"


def _templated(run: Run) -> float | None:
    if run.arm.evaluation is None or not results_of(run).is_file():
        return None
    benchmarks = json.loads(results_of(run).read_text())["benchmarks"]
    return fmean(benchmark["accuracy"] for benchmark in benchmarks.values())


def mean_accuracy(curve: Curve, end: float) -> float:
    """Mean accuracy while a budget is spent: each measurement holds until the next one.

    It says how early a policy was good, where final accuracies are all alike.

    Example::

        >>> mean_accuracy([(0, 0.0), (50, 1.0)], 100)
        0.5

    Args:
        curve: Begins before anything is spent.
        end: The budget; what was measured beyond it does not count.
    """
    points = [(spent, value) for spent, value in curve if spent < end]
    spans = pairwise([*(spent for spent, _ in points), end])
    return sum(
        (after - before) * value for (before, after), (_, value) in zip(spans, points, strict=True)
    ) / (end - points[0][0])


def reached_at(curve: Curve, level: float) -> float | None:
    """What was spent when accuracy was first at a level; None where it never was."""
    return next((spent for spent, value in curve if value >= level), None)


def spread(values: Sequence[float]) -> Spread:
    """Mean and standard deviation."""
    return Spread(fmean(values), stdev(values) if len(values) > 1 else 0.0, len(values))


def paired_difference(one: Mapping[int, float], other: Mapping[int, float]) -> Difference | None:
    """One arm minus another, of the seeds that both have; None where there is none.

    A seed draws the same problems in both, so that differences vary less than the arms do.

    Args:
        one: Seed to value.
        other: The same.
    """
    values = [one[seed] - other[seed] for seed in sorted(one.keys() & other.keys())]
    if not values:
        return None
    interval = bootstrap_interval(values) if len(values) >= ENOUGH_SEEDS else None
    return Difference(fmean(values), interval, len(values))


@dataclass(frozen=True)
class Result:
    """An arm after all of its seeds.

    Attributes:
        arm: The arm.
        outcomes: Those of its runs that have ended.
        unfinished: How many have not.
        end: Up to where curves are compared, in what was spent.
    """

    arm: Arm
    outcomes: Sequence[EndedRun]
    unfinished: int
    end: float

    def accuracies(self, by: str) -> dict[int, float]:
        """Seed to accuracy.

        Args:
            by: ``end`` for that of the end, ``along`` for the mean while the budget was spent, of
                which an arm that is measured with templates has none.
        """
        if by == "end":
            return {outcome.seed: outcome.accuracy for outcome in self.outcomes}
        bare = [outcome for outcome in self.outcomes if outcome.templated is None]
        return {outcome.seed: mean_accuracy(outcome.curve, self.end) for outcome in bare}

    def compared_with(self, other: "Result", by: str = "along") -> Difference | None:
        """This arm minus another; None where no seed has both."""
        return paired_difference(self.accuracies(by), other.accuracies(by))
