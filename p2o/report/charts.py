"""Charts in the grammar of Vega-Lite, which draws them in the page and, offline, in files.

A chart is a specification: a dictionary. Its colours are readable on white and on black; those of
text and axes come from the configuration that it is drawn with, such as `LIGHT`.
"""

from collections.abc import Sequence
from typing import Any

Spec = dict[str, Any]

COLOURS = ["#2b8cc4", "#e08214", "#3a9e5c", "#c2539c", "#8a6fd1", "#b0872b", "#d1495b", "#5f9ea0"]
"""Of arms and metrics, in order."""
GREY, YELLOW = "#98a0aa", "#e6a11a"
WIDTH = 640
"""Of a chart in a file, in pixels; in the page it takes the width that there is."""

LIGHT: Spec = {
    "background": "white",
    "view": {"stroke": None},
    "axis": {"gridColor": "#e4e7eb", "domainColor": "#9aa3ad", "tickColor": "#9aa3ad"},
    "range": {"category": COLOURS},
}
"""How charts in files look; the page has the same with colours of its own."""


def chart(height: int, **parts: Any) -> Spec:
    """A chart as wide as its place.

    Args:
        height: In pixels.
        parts: Of the specification.
    """
    return {"width": "container", "height": height, **parts}


def legend(columns: int = 2) -> Spec:
    """A legend below the chart, where it fits on a narrow screen as well."""
    return {"orient": "bottom", "title": None, "columns": columns, "labelLimit": 320}


def for_file(spec: Spec, width: int = WIDTH) -> Spec:
    """A chart of a width of its own."""
    return {**spec, "width": width}


def side_by_side(specs: Sequence[Spec], columns: int = 2) -> Spec:
    """Several charts as one, for a file."""
    parts = [for_file(spec, WIDTH // columns - 40) for spec in specs]
    shared = {"resolve": {"scale": {"color": "independent"}}}
    return {"concat": parts, "columns": columns, **shared}
