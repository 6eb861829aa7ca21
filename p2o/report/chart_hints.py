"""A chart of the hints of a search."""

from collections.abc import Mapping, Sequence

from p2o.report.charts import GREY, YELLOW, Spec, chart
from p2o.report.hints import HintNode, HintUse, layout

LABEL = 90
"""Characters of a hint in the tree."""
GENERATIONS = 14
"""Steps to the right for which there is room, texts included."""


def hint_tree(nodes: Sequence[HintNode], use: Mapping[str, HintUse]) -> Spec:
    """The templates of one search below those they were derived from.

    A click on one tells ``node``, its place in the search.

    Args:
        nodes: Of one search; rejected ones are pale.
        use: What came of each hint, by its id.
    """
    places = dict(zip((node.index for node in nodes), layout(nodes), strict=True))
    values, edges = [], []
    rejected = any(node.rejected for node in nodes)
    deepest = max(generation for generation, _ in places.values())
    for node in nodes:
        x, y = places[node.index]
        own = use.get(node.hint)
        text = " ".join(node.text.split()) or node.blank
        score = "" if node.score is None else f"{node.score:.2f}  "
        values.append(
            {
                "node": node.index,
                "x": x,
                "y": y,
                "label": score + (text if len(text) <= LABEL else f"{text[:LABEL]} …"),
                "score": node.score,
                "solved": len(node.solved),
                "dev": node.dev,
                "used": "in use" if node.in_use else "not in use",
                "kept": node.rejected or "kept",
                "first": len(own.first) if own else None,
                "bare": len(own.internalised) if own else None,
                "reliance": own.reliance if own else None,
            }
        )
        if x:
            # The rows between a node and its parent are of children that came before it.
            parent = next(p for p in node.parents if p in places and p < node.index)
            px, py = places[parent]
            edges.append({"x": px, "y": py, "x2": px, "y2": y})
            edges.append({"x": px, "y": y, "x2": x, "y2": y})
    position: Spec = {
        "x": {
            "field": "x",
            "type": "quantitative",
            "axis": None,
            "scale": {"domain": [-0.3, max(deepest + 6, GENERATIONS)], "nice": False},
        },
        "y": {
            "field": "y",
            "type": "quantitative",
            "axis": None,
            "scale": {"domain": [-0.6, len(nodes) - 0.4], "reverse": True, "nice": False},
        },
    }
    tip = [
        {"field": "label", "type": "nominal", "title": "hint"},
        {"field": "score", "type": "quantitative", "title": "dev score", "format": ".2f"},
        {"field": "solved", "type": "quantitative", "title": "dev problems solved"},
        {"field": "first", "type": "quantitative", "title": "problems first solved"},
        {"field": "bare", "type": "quantitative", "title": "later without it"},
        {"field": "reliance", "type": "quantitative", "format": ".3f"},
        *([{"field": "kept", "type": "nominal", "title": "kept"}] if rejected else []),
    ]
    return chart(
        max(60, 26 * len(nodes)),
        data={"values": values},
        layer=[
            {
                "data": {"values": edges},
                "mark": {"type": "rule", "color": GREY},
                "encoding": {**position, "x2": {"field": "x2"}, "y2": {"field": "y2"}},
            },
            {
                # What has no dev score is shown as well.
                "mark": {"type": "circle", "size": 150, "cursor": "pointer", "invalid": None},
                "encoding": {
                    **position,
                    "color": {
                        "field": "score",
                        "type": "quantitative",
                        "scale": {"domain": [0, 1], "range": [GREY, "#2b8cc4"]},
                        "legend": None,
                    },
                    "stroke": {
                        "condition": {"test": "datum.used == 'in use'", "value": YELLOW},
                        "value": None,
                    },
                    "strokeWidth": {"value": 3},
                    "opacity": {
                        "condition": {"test": "datum.kept == 'kept'", "value": 1},
                        "value": 0.35,
                    },
                    "tooltip": tip,
                },
            },
            {
                "mark": {
                    "type": "text",
                    "align": "left",
                    "dx": 12,
                    "cursor": "pointer",
                },
                "encoding": {**position, "text": {"field": "label"}, "tooltip": tip},
            },
        ],
    )
