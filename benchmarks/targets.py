"""What is aimed at, beside what was measured."""

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.markdown import number, percent, table
from benchmarks.step import DEAD, FEW_SHOT, PLAIN
from benchmarks.summary import Result, share_of_other, share_of_rate, step_ratio

STEPS = {PLAIN: 2.5, DEAD: 4.0, FEW_SHOT: 4.0}
"""TRL's seconds over p2o's, at least."""

LIMIT = """\
What limits a step that spends most of its time on sampling is told
[below](#sampling-against-the-floor).
"""


def targets(found: Mapping[str, dict[str, Any] | None]) -> str:
    """The table.

    Args:
        found: What each benchmark wrote; None where it wrote nothing.
    """
    steps, updates, overheads = (
        (found[name] or {}).get("results", []) for name in ("step", "update", "overhead")
    )
    rows = [
        (
            f"step, {case}: TRL's seconds over p2o's",
            f"{wanted} or more",
            number(step_ratio(steps, case, "seconds")),
        )
        for case, wanted in STEPS.items()
    ]
    memory = step_ratio(steps, PLAIN, "peak_bytes")
    share = None if memory is None else 1 / memory
    rows.append((f"peak memory, {PLAIN}: p2o's over TRL's", "0.5 or less", number(share)))
    update = _of_case(updates, PLAIN)
    rate = None if update is None else share_of_rate(update, "flops")
    rows.append((f"update, {PLAIN}: share of the matmul rate", "60 % or more", percent(rate)))
    overhead = _of_case(overheads, PLAIN)
    other = None if overhead is None else share_of_other(overhead["steps"])
    rows.append((f"overhead, {PLAIN}: share of a step", "under 3 %", percent(other)))
    return f"## Targets\n\n{table(('', 'target', 'measured'), rows)}\n{LIMIT}"


def _of_case(results: Sequence[Result], case: str) -> Result | None:
    return next((each for each in results if each["case"] == case), None)
