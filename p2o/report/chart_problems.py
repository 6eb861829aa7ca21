"""Charts of problems: what became of them, and weights against hints."""

from collections.abc import Mapping, Sequence

from p2o.report.charts import GREY, YELLOW, Spec, chart, legend
from p2o.report.problems import CELLS, STATES, TwoByTwo

STATE_COLOURS = {"bare": "#3a9e5c", "hinted": YELLOW, "relapsed": "#d1495b", "unsolved": GREY}
MOST_TICKS = 12
"""Epochs that are named below the river."""


def river_chart(rows: Sequence[Mapping[str, int]]) -> Spec:
    """Problems by state over epochs, best at the bottom.

    Args:
        rows: See `p2o.report.problems.river`.
    """
    values = [
        {"epoch": row["epoch"], "state": name, "order": place, "problems": row[state]}
        for row in rows
        for place, (state, name) in enumerate(STATES.items())
    ]
    flat = len(rows) < 2
    mark = {"type": "bar"} if flat else {"type": "area", "interpolate": "monotone", "opacity": 0.9}
    epochs = [row["epoch"] for row in rows]
    every = -(-len(epochs) // MOST_TICKS)
    return chart(
        280,
        data={"values": values},
        mark=mark,
        encoding={
            "x": {
                "field": "epoch",
                "type": "ordinal" if flat else "quantitative",
                "title": "epoch",
                "axis": {"format": "d", "grid": False, "labelAngle": 0, "values": epochs[::every]},
                **({} if flat else {"scale": {"domain": [epochs[0], epochs[-1]], "nice": False}}),
            },
            "y": {
                "field": "problems",
                "type": "quantitative",
                "title": "training problems",
                "axis": {"tickMinStep": 1},
            },
            "color": {
                "field": "state",
                "type": "nominal",
                "scale": {
                    "domain": list(STATES.values()),
                    "range": [STATE_COLOURS[state] for state in STATES],
                },
                "legend": legend(2),
            },
            "order": {"field": "order", "type": "quantitative"},
            "tooltip": [
                {"field": "epoch", "type": "quantitative"},
                {"field": "state", "type": "nominal"},
                {"field": "problems", "type": "quantitative"},
            ],
        },
    )


def two_by_two_chart(table: TwoByTwo) -> Spec:
    """Weights against hints: four fields with their accuracy."""
    values = []
    for weights, hints in CELLS:
        cell = table.cells[weights, hints]
        label = "not measured" if cell.share is None else f"{100 * cell.share:.1f} %"
        number = f"{cell.number} problem{'' if cell.number == 1 else 's'}" if cell.number else ""
        place = {"weights": f"weights {weights}", "hints": f"{hints} hint", "share": cell.share}
        values.append(
            {**place, "label": label, "number": number, "strong": (cell.share or 0) > 0.5}
        )
    text = {"condition": {"test": "datum.strong", "value": "white"}, "value": "#1d2a36"}
    return chart(
        190,
        data={"values": values},
        encoding={
            "x": {
                "field": "hints",
                "type": "nominal",
                "sort": ["without hint", "with hint"],
                "title": None,
                "axis": {"orient": "top", "labelAngle": 0, "domain": False, "ticks": False},
            },
            "y": {
                "field": "weights",
                "type": "nominal",
                "sort": ["weights before", "weights after"],
                "title": None,
                "axis": {"domain": False, "ticks": False},
            },
        },
        layer=[
            {
                "mark": {"type": "rect", "stroke": "white", "strokeWidth": 2},
                "encoding": {
                    "color": {
                        "condition": {"test": "!isValid(datum.share)", "value": "#c9ced4"},
                        "field": "share",
                        "type": "quantitative",
                        "scale": {"domain": [0, 1], "range": ["#dcebf5", "#14608f"]},
                        "legend": None,
                    }
                },
            },
            {
                "mark": {"type": "text", "fontSize": 20, "fontWeight": "bold", "dy": -6},
                "encoding": {"text": {"field": "label"}, "color": text},
            },
            {
                "mark": {"type": "text", "fontSize": 12, "dy": 16},
                "encoding": {"text": {"field": "number"}, "color": text},
            },
        ],
    )
