"""What others report of such training: lengths that drift, and pass@k that falls."""

import re
from statistics import fmean

from p2o.report.runs import Run

PASS_AT = re.compile(r"val/pass_at_(\d+)")
ALIKE = 1.5
"""Factor between two mean lengths from which on they count as a drift."""


def pass_at(run: Run) -> dict[int, str]:
    """Names of the pass@k that a run has logged, by k, smallest first."""
    names = {name for row in run.metrics for name in row}
    found = {int(match[1]): name for name in names if (match := PASS_AT.fullmatch(name))}
    return dict(sorted(found.items()))


def drifts(run: Run) -> list[str]:
    """Sentences on the length of responses, and on pass@k beside accuracy; empty if unknown."""
    return [*_lengths(run), *_within_reach(run)]


def _lengths(run: Run) -> list[str]:
    """The mean length of training responses, in the first and in the last tenth of the steps."""
    lengths, cut = _tenths(run, "response/tokens"), _tenths(run, "response/cut")
    if lengths is None:
        return []
    first, last = lengths
    sentence = (
        f"A training response had {first:.1f} tokens in the first tenth of the steps, and "
        f"{last:.1f} in the last."
    )
    if first and last and not 1 / ALIKE < last / first < ALIKE:
        factor = max(first, last) / min(first, last)
        sentence += f" They became {factor:.1f} times {'longer' if last > first else 'shorter'}."
    # Growth alone may be what was to be learned.
    if cut is not None and last > first and cut[1] > cut[0]:
        sentence += (
            f" More of them are cut off, {_percent(cut[1])} in place of {_percent(cut[0])}; see "
            "algorithm.overlong and sampling.train.max_new_tokens."
        )
    return [sentence]


def _tenths(run: Run, name: str) -> tuple[float, float] | None:
    """Means of a metric over the first and the last tenth of the steps; None for fewer than two."""
    values = [value for _, value in run.column(name)]
    tenth = max(1, len(values) // 10)
    return (fmean(values[:tenth]), fmean(values[-tenth:])) if len(values) > 1 else None


def _within_reach(run: Run) -> list[str]:
    """The largest pass@k and accuracy, at the first and at the last evaluation."""
    found = pass_at(run)
    if not found:
        return []
    k, name = list(found.items())[-1]
    reach, right = run.column(name), run.column("val/accuracy")
    if len(reach) < 2 or len(right) < 2:
        return []
    (before, after), (right_before, right_after) = _ends(reach), _ends(right)
    sentence = (
        f"pass@{k} on held-out problems, the probability that one of {k} responses is right, went "
        f"from {_percent(before)} to {_percent(after)}; accuracy went from "
        f"{_percent(right_before)} to {_percent(right_after)}."
    )
    if after < before and right_after > right_before:
        sentence += f" pass@{k} fell while accuracy rose: right more often, on fewer problems."
    return [sentence]


def _ends(series: list[tuple[float, float]]) -> tuple[float, float]:
    return series[0][1], series[-1][1]


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
