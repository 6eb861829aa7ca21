"""Pictures of finished runs; needs ``pip install matplotlib``."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path


def learning_curves(runs: Mapping[str, Sequence[Path]], path: Path) -> None:
    """Draw held-out accuracy over rollouts spent: a line for each run, a colour for each arm.

    Args:
        runs: Name of an arm to its run directories.
        path: Where to write; the suffix names the format, say ``.svg`` or ``.png``.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    mpl.rcParams.update({"svg.hashsalt": "p2o", "font.size": 10})
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 3.6))
    for number, (arm, directories) in enumerate(runs.items()):
        for repeat, directory in enumerate(directories):
            rollouts, accuracy = _curve(directory / "metrics.csv")
            axes.plot(
                rollouts,
                accuracy,
                color=f"C{number}",
                alpha=0.8,
                label=arm if repeat == 0 else None,
            )
    axes.set(
        xlabel="rollouts spent, template search included",
        ylabel="held-out accuracy, no template",
        ylim=(0, 1.03),
        xlim=(0, None),
    )
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="center right")
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
    pyplot.close(figure)


def _curve(path: Path) -> tuple[list[float], list[float]]:
    with path.open() as file:
        rows = [row for row in csv.DictReader(file) if row["val/accuracy"]]
    return (
        [float(row["ledger/rollouts"]) for row in rows],
        [float(row["val/accuracy"]) for row in rows],
    )
