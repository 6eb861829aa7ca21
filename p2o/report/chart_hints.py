"""A chart of the hints of a search."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from p2o.report.charts import GREY, YELLOW, Spec, chart
from p2o.report.hints import HintNode, HintUse, layout

LABEL = 90
"""Characters of a hint in the tree."""
GENERATIONS = 14
"""Steps to the right for which there is room, texts included."""


POSITION: Spec = {
    "x": {"field": "x", "type": "quantitative", "axis": None},
    "y": {"field": "y", "type": "quantitative", "axis": None},
}
TIP = [
    {"field": "label", "type": "nominal", "title": "hint"},
    {"field": "score", "type": "quantitative", "title": "dev score", "format": ".2f"},
    {"field": "solved", "type": "quantitative", "title": "dev problems solved"},
    {"field": "first", "type": "quantitative", "title": "problems first solved"},
    {"field": "bare", "type": "quantitative", "title": "later without it"},
    {"field": "reliance", "type": "quantitative", "format": ".3f"},
]
"""What is told of a hint that is pointed at."""
POINT: Spec = {
    "color": {
        "field": "score",
        "type": "quantitative",
        "scale": {"domain": [0, 1], "range": [GREY, "#2b8cc4"]},
        "legend": None,
    },
    "stroke": {"condition": {"test": "datum.used == 'in use'", "value": YELLOW}, "value": None},
    "strokeWidth": {"value": 3},
    "opacity": {"condition": {"test": "datum.kept == 'kept'", "value": 1}, "value": 0.35},
}
"""How a hint looks: its score, whether it is in use, whether the search kept it."""


def hint_tree(nodes: Sequence[HintNode], use: Mapping[str, HintUse]) -> Spec:
    """The templates of one search below those they were derived from.

    A click on one tells ``node``, its place in the search.

    Args:
        nodes: Of one search; rejected ones are pale.
        use: What came of each hint, by its id.
    """
    places = dict(zip((node.index for node in nodes), layout(nodes), strict=True))
    deepest = max(generation for generation, _ in places.values())
    position = {
        "x": _within("x", [-0.3, max(deepest + 6, GENERATIONS)]),
        "y": _within("y", [-0.6, len(nodes) - 0.4], reverse=True),
    }
    kept = [{"field": "kept", "type": "nominal", "title": "kept"}]
    tip = TIP + (kept if any(node.rejected for node in nodes) else [])
    edges = [edge for node in nodes for edge in _edges(node, places)]
    return chart(
        max(60, 26 * len(nodes)),
        data={"values": [_values(node, places[node.index], use.get(node.hint)) for node in nodes]},
        layer=[
            {
                "data": {"values": edges},
                "mark": {"type": "rule", "color": GREY},
                "encoding": {**position, "x2": {"field": "x2"}, "y2": {"field": "y2"}},
            },
            {
                # What has no dev score is shown as well.
                "mark": {"type": "circle", "size": 150, "cursor": "pointer", "invalid": None},
                "encoding": {**position, **POINT, "tooltip": tip},
            },
            {
                "mark": {"type": "text", "align": "left", "dx": 12, "cursor": "pointer"},
                "encoding": {**position, "text": {"field": "label"}, "tooltip": tip},
            },
        ],
    )


def _within(axis: str, domain: Sequence[float], **scale: bool) -> Spec:
    return {**POSITION[axis], "scale": {"domain": list(domain), **scale, "nice": False}}


def _values(node: HintNode, place: tuple[int, int], use: HintUse | None) -> dict[str, Any]:
    """What is shown and told of one hint."""
    text = " ".join(node.text.split()) or node.blank
    score = "" if node.score is None else f"{node.score:.2f}  "
    return {
        "node": node.index,
        "x": place[0],
        "y": place[1],
        "label": score + (text if len(text) <= LABEL else f"{text[:LABEL]} …"),
        "score": node.score,
        "solved": len(node.solved),
        "dev": node.dev,
        "used": "in use" if node.in_use else "not in use",
        "kept": node.rejected or "kept",
        "first": len(use.first) if use else None,
        "bare": len(use.internalised) if use else None,
        "reliance": use.reliance if use else None,
    }


def _edges(node: HintNode, places: Mapping[int, tuple[int, int]]) -> Iterator[dict[str, int]]:
    """From a hint's parent down, and then to the right; none to one of the first generation."""
    x, y = places[node.index]
    if x:
        # The rows between a node and its parent are of children that came before it.
        parent = next(p for p in node.parents if p in places and p < node.index)
        px, py = places[parent]
        yield {"x": px, "y": py, "x2": px, "y2": y}
        yield {"x": px, "y": y, "x2": x, "y2": y}
