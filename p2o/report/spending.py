"""What a run has spent, and how accurate it was by then."""

from collections.abc import Mapping, Sequence
from statistics import mean
from typing import Any

from p2o.report.intervals import Curve
from p2o.report.rollouts import Columns, spent_tokens
from p2o.report.runs import Run

AXES = {
    "rollouts": "rollouts spent, search included",
    "tokens": "tokens generated, search included",
    "seconds": "seconds, search included",
}
"""What accuracy can be shown over."""
PHASES = {
    "train": "training",
    "scoring": "scoring",
    "evolution": "search",
    "evaluation": "evaluation",
}
"""Phases of the ledger, as the report calls them."""
EVALUATION = PHASES["evaluation"]
COUNTERS = {
    "seconds": "seconds",
    "rollouts": "rollouts",
    "generated_tokens": "tokens sampled",
    "trained_tokens": "tokens trained on",
    "scored_tokens": "tokens scored",
    "reflection_calls": "reflections",
    "reflection_tokens": "tokens of reflections",
}
"""Counters of the ledger, as the report calls them."""


def accuracy_curves(
    run: Run, rollouts: Columns | None, metric: str = "accuracy"
) -> dict[str, Curve]:
    """Held-out accuracy over each axis that is known; see `AXES`.

    Args:
        run: Its metrics are read.
        rollouts: Of the run, in order, for the axis of tokens where metrics do not have it.
        metric: ``accuracy``, or ``hard_accuracy`` on problems that were not solved at the start.
    """
    spent = {axis: f"ledger/{axis}" for axis in AXES}
    curves: dict[str, Curve] = {}
    for axis, column in spent.items():
        points = {
            row[column]: row[f"val/{metric}"] for row in run.metrics if _has(row, column, metric)
        }
        if points:
            x = sorted(points)
            curves[axis] = x, [points[each] for each in x]
    if rollouts is not None and "rollouts" in curves and "tokens" not in curves:
        counts, accuracies = curves["rollouts"]
        tokens = spent_tokens(rollouts, counts)
        if tokens is not None:
            curves["tokens"] = tokens, accuracies
    return {axis: curves[axis] for axis in AXES if axis in curves}


def _has(row: Mapping[str, float], column: str, metric: str) -> bool:
    return f"val/{metric}" in row and column in row


def cost(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """What runs have spent on average, by counter and phase.

    Returns:
        Rows of ``counter``, ``phase``, ``amount`` and ``share`` of the counter's sum; of counters
        that counted anything.
    """
    ledgers = [run.summary["ledger"] for run in runs if isinstance(run.summary.get("ledger"), dict)]
    rows = []
    for counter, counter_name in COUNTERS.items():
        amounts = {
            name: mean(float(ledger.get(phase, {}).get(counter, 0)) for ledger in ledgers)
            for phase, name in PHASES.items()
            if ledgers
        }
        total = sum(amounts.values())
        for phase, amount in amounts.items():
            if total:
                row = {"counter": counter_name, "phase": phase, "amount": amount}
                rows.append({**row, "share": amount / total})
    return rows


def total(rows: Sequence[Mapping[str, Any]], counter: str) -> float:
    """Sum of one counter over all phases but evaluation; see `cost`."""
    return sum(
        row["amount"]
        for row in rows
        if row["counter"] == COUNTERS[counter] and row["phase"] != EVALUATION
    )


def share(rows: Sequence[Mapping[str, Any]], counter: str, phase: str) -> float:
    """Share that a phase has of a counter's `total`."""
    whole = total(rows, counter)
    amounts = (
        row["amount"]
        for row in rows
        if row["counter"] == COUNTERS[counter] and row["phase"] == PHASES[phase]
    )
    return sum(amounts) / whole if whole else 0.0
