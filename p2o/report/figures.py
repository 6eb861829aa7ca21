"""Pictures of finished runs; needs ``pip install p2o-rl[figures]``."""

import csv
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean

INK = "#767676"
"""Of text and axes: readable on white and on black, as the background is left out."""
COLOURS = ("#3f8fd2", "#d2741c", "#2f9e5b", "#b06ad6", "#d9534f", "#8c8c33")
"""Of arms, likewise."""

Curve = tuple[Sequence[float], Sequence[float]]
"""Rollouts spent, and the accuracy at each of these."""


def learning_curves(runs: Mapping[str, Sequence[Path]], path: Path) -> None:
    """Draw held-out accuracy over rollouts spent, for each arm the mean and range of its seeds.

    Args:
        runs: Name of an arm to its run directories.
        path: Where to write; the suffix names the format, say ``.svg`` or ``.png``.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    ink = ("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color")
    mpl.rcParams.update({"svg.hashsalt": "p2o", "font.size": 10, **dict.fromkeys(ink, INK)})
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 3.6))
    for number, (arm, directories) in enumerate(runs.items()):
        colour = COLOURS[number % len(COLOURS)]
        curves = [_curve(directory / "metrics.csv") for directory in directories]
        rollouts, means, lows, highs = over_seeds(curves)
        axes.fill_between(rollouts, lows, highs, color=colour, alpha=0.25, linewidth=0)
        axes.plot(rollouts, means, color=colour, label=arm)
    axes.set(
        xlabel="rollouts spent, template search included",
        ylabel="held-out accuracy, no template",
        ylim=(0, 1.03),
        xlim=(0, None),
    )
    axes.spines[["top", "right"]].set_visible(False)
    seeds = max(map(len, runs.values()))
    axes.legend(
        frameon=False, loc="center right", title=f"mean and range of {seeds} seeds" * (seeds > 1)
    )
    figure.tight_layout()
    date = {"Date": None} if path.suffix == ".svg" else None
    figure.savefig(path, metadata=date, transparent=True)
    pyplot.close(figure)


def over_seeds(
    curves: Sequence[Curve],
) -> tuple[list[float], list[float], list[float], list[float]]:
    """Mean, lowest and highest of several curves, wherever one of them was measured.

    Between two measurements a curve is a straight line. Nothing is drawn past the end of the
    shortest, or before the start of the last.

    Returns:
        Rollouts, and at each the mean, the lowest and the highest accuracy.

    Example::

        >>> over_seeds([([0, 4], [0.0, 1.0]), ([0, 2, 6], [0.5, 0.5, 0.0])])
        ([0, 2, 4], [0.25, 0.5, 0.625], [0.0, 0.5, 0.25], [0.5, 0.5, 1.0])
    """
    start, end = max(at[0] for at, _ in curves), min(at[-1] for at, _ in curves)
    places = sorted({place for at, _ in curves for place in at if start <= place <= end})
    values = [[_value(curve, place) for curve in curves] for place in places]
    means, lows, highs = (list(map(how, values)) for how in (fmean, min, max))
    return places, means, lows, highs


def _value(curve: Curve, place: float) -> float:
    at, values = curve
    right = bisect_right(at, place)
    if right == len(at):
        return values[-1]
    share = (place - at[right - 1]) / (at[right] - at[right - 1])
    return values[right - 1] + share * (values[right] - values[right - 1])


def _curve(path: Path) -> Curve:
    with path.open() as file:
        rows = [row for row in csv.DictReader(file) if row["val/accuracy"]]
    # A run that is evaluated twice at one place is drawn as it was found last.
    found = {float(row["ledger/rollouts"]): float(row["val/accuracy"]) for row in rows}
    return list(found), list(found.values())
