"""Curves of several seeds as one: mean, lowest and highest at every spending."""

from bisect import bisect_right
from collections.abc import Sequence
from statistics import fmean

from p2o.bench.outcomes import Curve
from p2o.report.figures import Band


def band(curves: Sequence[Curve], end: float) -> Band:
    """Join curves, each of which holds its last measurement until the next one.

    Args:
        curves: At least one; each begins before anything is spent.
        end: Up to where they go on where nothing was measured any more.
    """
    start = max(curve[0][0] for curve in curves)
    places = sorted({end, *(spent for curve in curves for spent, _ in curve if spent >= start)})
    columns = [[_value_at(curve, place) for curve in curves] for place in places]
    return Band(
        places,
        [fmean(column) for column in columns],
        [min(column) for column in columns],
        [max(column) for column in columns],
    )


def _value_at(curve: Curve, place: float) -> float:
    index = bisect_right([spent for spent, _ in curve], place) - 1
    return curve[max(index, 0)][1]
