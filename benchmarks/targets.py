"""What is aimed at, beside what was measured."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from benchmarks.markdown import number, percent, table
from benchmarks.step import CASES, DEAD, FEW_SHOT, PLAIN, TINY, TINY_DEAD
from benchmarks.summary import Result, share_of_other, share_of_rate, step_ratio

STEPS = {PLAIN: 2.5, DEAD: 4.0, FEW_SHOT: 4.0}
"""TRL's seconds over p2o's, at least."""

LIMIT = """\
What limits sampling is told [below](#sampling-against-the-floor): with few rows it is the way of
the weights from memory, once for each token of the longest response. Caches that grow in place and
keys that are read once for all their query heads were what could be saved there. To multiply
weights by tokens, in place of tokens by weights, is faster on this processor for few rows, but
gains a few per cent of a step and would go around every linear layer of a model; it was tried and
left out.
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
        _row(
            f"step, {case}: TRL's seconds over p2o's",
            f"{wanted} or more",
            step_ratio(steps, case, "seconds"),
            number,
            lambda value, wanted=wanted: value >= wanted,
        )
        for case, wanted in STEPS.items()
    ]
    memory = step_ratio(steps, PLAIN, "peak_bytes")
    share = None if memory is None else 1 / memory
    update = _of_case(updates, PLAIN)
    rate = None if update is None else share_of_rate(update, "flops")
    overhead = _of_case(overheads, PLAIN)
    other = None if overhead is None else share_of_other(overhead["steps"])
    rows += [
        _row(
            f"peak memory, {PLAIN}: p2o's over TRL's",
            "0.5 or less",
            share,
            number,
            lambda value: value <= 0.5,
        ),
        _row(
            f"update, {PLAIN}: share of the matmul rate",
            "60 % or more",
            rate,
            percent,
            lambda value: value >= 0.6,
        ),
        _row(
            f"overhead, {PLAIN}: share of a step",
            "under 3 %",
            other,
            percent,
            lambda value: value < 0.03,
        ),
    ]
    shown = table(("", "target", "measured", "met"), rows, "lrrl")
    return f"## Targets\n\n{shown}\n{_without_target(steps, update, overheads)}\n{LIMIT}"


def _without_target(
    steps: Sequence[Result], update: Result | None, overheads: Sequence[Result]
) -> str:
    """What nothing is aimed at, and stands beside it all the same."""
    ratios = [step_ratio(steps, case, "seconds") for case in (TINY, TINY_DEAD)]
    small = _of_case(overheads, TINY)
    other = None if small is None else share_of_other(small["steps"])
    learned = None if update is None else share_of_rate(update, "learned_flops")
    return (
        "Nothing is aimed at for the embedded policy, whose steps take a tenth of a second. TRL's "
        f"seconds over p2o's are {number(ratios[0])}, and {number(ratios[1])} with half of the "
        f"groups dead; {percent(other)} of a step is overhead. What p2o does once for each batch "
        "shows there. If only the arithmetic of the responses counted, the update of "
        f"{PLAIN} would be at {percent(learned)} of the matmul rate: prompts, which are read once "
        "for each group, take the rest. In the few-shot case TRL goes through its prompts in "
        f"{CASES[FEW_SHOT].parts} parts, as all at once do not fit this memory.\n"
    )


def _row(
    what: str,
    target: str,
    value: float | None,
    shown: Callable[[float | None], str],
    met: Callable[[float], bool],
) -> tuple[str, str, str, str]:
    return what, target, shown(value), "" if value is None else "yes" if met(value) else "**no**"


def _of_case(results: Sequence[Result], case: str) -> Result | None:
    return next((each for each in results if each["case"] == case), None)
