"""Pictures of finished runs; needs ``pip install matplotlib``."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from p2o.report.intervals import Band

MOST_IN_ONE = 6
"""Arms that can still be told apart in one picture; of more each has a panel of its own."""
PANELS_IN_A_ROW = 4
INK = "#808080"
"""Of text and axes: it can be read on a light page and on a dark one."""


def spending_curves(
    arms: Mapping[str, Band], path: Path, spent: str, reference: str | None = None
) -> None:
    """Draw held-out accuracy over what was spent, of each arm the mean over seeds and its shade.

    Args:
        arms: Label of an arm to its curves.
        path: Where to write; the suffix names the format, say ``.svg`` or ``.png``.
        spent: What was spent, in words.
        reference: Label of the arm that is drawn, as a thin line, into the panels of the others.
    """
    import matplotlib as mpl

    style: dict[Any, Any] = {
        "svg.hashsalt": "p2o",
        "font.size": 9,
        "text.color": INK,
        "axes.edgecolor": INK,
    }
    style |= {"axes.labelcolor": INK, "xtick.color": INK, "ytick.color": INK}
    with mpl.rc_context(style):
        figure = _in_one(arms) if len(arms) <= MOST_IN_ONE else _in_panels(arms, reference)
        figure.supxlabel(f"{spent} spent, template search included")
        figure.supylabel("held-out accuracy, no template")
        figure.tight_layout()
        metadata = {"Date": None} if path.suffix == ".svg" else None
        figure.savefig(path, metadata=metadata, transparent=True)
        figure.clear()


def _in_one(arms: Mapping[str, Band]) -> Any:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 3.6))
    axes = figure.subplots()
    for number, (label, band) in enumerate(arms.items()):
        _draw(axes, band, f"C{number}", label)
    _bare(axes)
    axes.legend(frameon=False, loc="best")
    return figure


def _in_panels(arms: Mapping[str, Band], reference: str | None) -> Any:
    from matplotlib.figure import Figure

    rows = -(-len(arms) // PANELS_IN_A_ROW)
    figure = Figure(figsize=(8, 1.7 * rows + 0.5))
    grid = figure.subplots(rows, PANELS_IN_A_ROW, sharex=True, sharey=True, squeeze=False)
    panels = list(grid.flat)
    for axes, (label, band) in zip(panels, arms.items(), strict=False):
        other = arms.get(reference) if reference and reference != label else None
        if other is not None:
            axes.step(other.spent, other.mean, where="post", color=INK, linewidth=0.8)
        _draw(axes, band, "C0", label)
        _bare(axes)
        axes.set_title(label, fontsize=8)
        axes.tick_params(axis="x", labelrotation=30)
    for axes in panels[len(arms) :]:
        axes.set_visible(False)
    return figure


def _draw(axes: Any, band: Band, color: str, label: str) -> None:
    if band.low is not None and band.high is not None:
        shade: dict[str, Any] = {"color": color, "alpha": 0.2, "linewidth": 0}
        axes.fill_between(band.spent, band.low, band.high, step="post", **shade)
    axes.step(band.spent, band.mean, where="post", color=color, label=label)


def _bare(axes: Any) -> None:
    axes.set(ylim=(0, 1.03), xlim=(0, None))
    axes.spines[["top", "right"]].set_visible(False)
