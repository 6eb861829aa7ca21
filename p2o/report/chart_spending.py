"""Charts of what was spent and what came of it."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from p2o.report.charts import COLOURS, GREY, YELLOW, Spec, chart, legend
from p2o.report.intervals import Curve, mean_curve, wilson
from p2o.report.spending import AXES

PHASE_COLOURS = {
    "training": "#2b8cc4",
    "scoring": "#8a6fd1",
    "search": YELLOW,
    "evaluation": GREY,
}


def accuracy_chart(
    arms: Mapping[str, Sequence[Curve]], axis: str, held_out: int | None = None
) -> Spec:
    """Held-out accuracy over what was spent: a line for each arm, with its interval.

    Args:
        arms: Name to a curve for each seed.
        axis: See `AXES`.
        held_out: Problems that a single curve was measured on; its interval is over these.
    """
    rows, points = [], []
    for arm, curves in arms.items():
        band = mean_curve(curves)
        low, high = band.low, band.high
        if len(curves) == 1 and held_out:
            intervals = [wilson(value * held_out, held_out) for value in band.mean]
            low, high = ([each[side] for each in intervals] for side in (0, 1))
        for place, (x, y) in enumerate(zip(band.spent, band.mean, strict=True)):
            row = {"arm": arm, "x": x, "accuracy": y}
            if low is not None and high is not None:
                row |= {"low": low[place], "high": high[place]}
            rows.append(row)
        for number, (xs, ys) in enumerate(curves):
            points += [
                {"arm": arm, "x": x, "accuracy": y, "seed": number}
                for x, y in zip(xs, ys, strict=True)
            ]
    colour = {
        "field": "arm",
        "type": "nominal",
        "scale": {"domain": list(arms), "range": COLOURS},
        "legend": legend(1) if len(arms) > 1 else None,
    }
    x = {"field": "x", "type": "quantitative", "title": AXES[axis], "axis": {"tickCount": 6}}
    y = {
        "field": "accuracy",
        "type": "quantitative",
        "title": "held-out accuracy",
        "scale": {"domain": [0, _top([*rows, *points])]},
        "axis": {"format": ".0%"},
    }
    tip = [
        {"field": "arm", "type": "nominal"},
        {"field": "x", "type": "quantitative", "title": axis, "format": ",.0f"},
        {"field": "accuracy", "type": "quantitative", "format": ".1%"},
    ]
    band_of_mean = {
        "mark": {"type": "area", "opacity": 0.2},
        "encoding": {
            "y": {"field": "low", "type": "quantitative", "title": y["title"]},
            "y2": {"field": "high"},
        },
    }
    banded = [row for row in rows if "low" in row]
    return chart(
        300,
        data={"values": rows},
        encoding={"x": x, "color": colour},
        layer=[
            *([{"data": {"values": banded}, **band_of_mean}] if banded else []),
            {"mark": {"type": "line", "strokeWidth": 2.5}, "encoding": {"y": y}},
            {
                "data": {"values": points},
                "mark": {"type": "point", "filled": True, "size": 28, "opacity": 0.55},
                "encoding": {"y": y, "tooltip": tip},
            },
        ],
    )


def _top(rows: Sequence[Mapping[str, float]]) -> float:
    """Where an axis of shares ends: a tenth that leaves room above, so that low curves part."""
    highest = max((row.get("high", row["accuracy"]) for row in rows), default=1.0)
    return min(1.0, math.ceil(10 * highest + 0.5) / 10)


def cost_chart(arms: Mapping[str, Sequence[Mapping[str, Any]]]) -> Spec:
    """Bars of what each phase has of the time, the rollouts and the tokens.

    Args:
        arms: Name to rows of `p2o.report.spending.cost`.
    """
    shown = ("seconds", "rollouts", "tokens sampled")
    rows = [
        {
            **row,
            "arm": arm,
            "row": row["counter"] if len(arms) == 1 else f"{arm} · {row['counter']}",
        }
        for arm, own in arms.items()
        for row in own
        if row["counter"] in shown
    ]
    order = list(dict.fromkeys(row["row"] for row in rows))
    return chart(
        36 * len(order),
        data={"values": rows},
        mark={"type": "bar"},
        encoding={
            "y": {
                "field": "row",
                "type": "nominal",
                "sort": order,
                "title": None,
                "axis": {"labelLimit": 230},
            },
            "x": {
                "field": "share",
                "type": "quantitative",
                "title": "share of all",
                "axis": {"format": ".0%", "tickCount": 5},
                "scale": {"domain": [0, 1]},
            },
            "color": {
                "field": "phase",
                "type": "nominal",
                "scale": {"domain": list(PHASE_COLOURS), "range": list(PHASE_COLOURS.values())},
                "legend": legend(4),
            },
            "tooltip": [
                {"field": "row", "type": "nominal", "title": "of"},
                {"field": "phase", "type": "nominal"},
                {"field": "amount", "type": "quantitative", "format": ",.0f"},
                {"field": "share", "type": "quantitative", "format": ".1%"},
            ],
        },
    )
