"""Charts of metrics over training steps, those without an update included."""

from collections.abc import Mapping, Sequence

from p2o.report.charts import COLOURS, Spec, chart, legend

BESIDE = 46
"""Characters of two names that fit beside each other."""
TINY = 1e-3
"""Below that, numbers at the axis are written with an exponent."""


def panel(title: str, series: Mapping[str, Sequence[tuple[float, float]]]) -> Spec:
    """Metrics that are drawn together, over training steps."""
    values = [
        {"metric": name, "step": step, "value": value}
        for name, points in series.items()
        for step, value in points
    ]
    tiny = max(abs(row["value"]) for row in values) < TINY and any(row["value"] for row in values)
    long = sum(sorted(map(len, series))[-2:]) > BESIDE
    return chart(
        150,
        title={"text": title, "anchor": "start", "fontSize": 12},
        data={"values": values},
        mark={"type": "line", "point": {"size": 14}, "strokeWidth": 1.5},
        encoding={
            "x": {
                "field": "step",
                "type": "quantitative",
                "title": "training step",
                "axis": {"tickMinStep": 1, "tickCount": 5},
            },
            "y": {
                "field": "value",
                "type": "quantitative",
                "title": None,
                "scale": {"zero": False},
                "axis": {"tickCount": 4, **({"format": "~e"} if tiny else {})},
            },
            "color": {
                "field": "metric",
                "type": "nominal",
                "scale": {"domain": list(series), "range": COLOURS},
                "legend": legend(1 if long else 2),
            },
            "tooltip": [
                {"field": "metric", "type": "nominal"},
                {"field": "step", "type": "quantitative"},
                {"field": "value", "type": "quantitative", "format": ".4g"},
            ],
        },
    )
