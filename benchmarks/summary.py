"""From measurements to the numbers that a page shows."""

import math
import statistics
from collections.abc import Iterable, Sequence
from typing import Any

PARTS = ("generation", "scoring", "update", "other")
"""What a step is split into; verifying takes next to nothing here."""
SIDES = ("TRL", "p2o")

Result = dict[str, Any]


def cases(results: Iterable[Result]) -> list[str]:
    """Names of cases, in the order in which they were measured first."""
    return list(dict.fromkeys(result["case"] for result in results))


def side_of_step(results: Sequence[Result], case: str, side: str) -> Result | None:
    """Medians over repetitions of one side of a case; None where it was not measured.

    Of several steps in a process the first is left out, and the median stands for the process.
    """
    mine = [each for each in results if each["case"] == case and each["side"] == side]
    if not mine:
        return None
    runs = [each["steps"][1:] or each["steps"] for each in mine]
    middle = [
        {part: statistics.median(step[part] for step in run) for part in ("seconds", *PARTS)}
        for run in runs
    ]
    return {
        **{part: statistics.median(each[part] for each in middle) for part in middle[0]},
        "repetitions": len(mine),
        "least": min(each["seconds"] for each in middle),
        "most": max(each["seconds"] for each in middle),
        "peak_bytes": statistics.median(each["peak_bytes"] for each in mine),
        "prompt": _mean_length(runs, "prompts"),
        "response": _mean_length(runs, "completions"),
        "threads": mine[0]["threads"],
        "work": mine[0]["work"],
        "command": mine[0].get("command"),
    }


def _mean_length(runs: Sequence[Sequence[Result]], of: str) -> float:
    return statistics.mean(length for run in runs for step in run for length in step[of])


def step_ratio(results: Sequence[Result], case: str, part: str) -> float | None:
    """TRL's median over p2o's; None where one of them was not measured."""
    trl, p2o = (side_of_step(results, case, side) for side in SIDES)
    return over(trl[part], p2o[part]) if trl and p2o else None


def share_of_other(steps: Sequence[Result]) -> float | None:
    """The share of all these steps that is no part's; None where there are none."""
    return over(sum(step["other"] for step in steps), sum(step["seconds"] for step in steps))


def share_of_rate(result: Result, flops: str) -> float:
    """The least time of an update over the time it took.

    Args:
        result: Of the update benchmark.
        flops: Key of the operations to count.
    """
    return result[flops] / result["rate"] / result["update"]


def over(part: float, whole: float) -> float | None:
    """A ratio; None of nothing."""
    return part / whole if whole else None


def exponent(xs: Sequence[float], ys: Sequence[float]) -> float | None:
    """Slope of the line through the logarithms, least squares; None where there is none.

    Args:
        xs: What grew.
        ys: What it cost.
    """
    if len(set(xs)) < 2 or min(ys) <= 0:
        return None
    logs = [(math.log(x), math.log(y)) for x, y in zip(xs, ys, strict=True)]
    return statistics.linear_regression(*zip(*logs, strict=True)).slope
