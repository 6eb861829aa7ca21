"""Curves of several seeds as one: their mean at every spending, and how sure it is."""

from bisect import bisect_right
from collections.abc import Sequence

import numpy as np

from p2o.bench.outcomes import ENOUGH_SEEDS, Curve
from p2o.report.intervals import Band, bootstrap_means


def band(curves: Sequence[Curve], end: float) -> Band:
    """Join curves, each of which holds its last measurement until the next one.

    The shade is the 95 % bootstrap interval of their mean; of fewer than `ENOUGH_SEEDS`, which tell
    too little of it, their range.

    Args:
        curves: At least one; each begins before anything is spent.
        end: Up to where they go on where nothing was measured any more.
    """
    start = max(curve[0][0] for curve in curves)
    places = sorted({end, *(spent for curve in curves for spent, _ in curve if spent >= start)})
    values = np.array([[_value_at(curve, place) for place in places] for curve in curves])
    enough = len(curves) >= ENOUGH_SEEDS
    low, high = bootstrap_means(values) if enough else (values.min(axis=0), values.max(axis=0))
    return Band(places, values.mean(axis=0).tolist(), low.tolist(), high.tolist())


def _value_at(curve: Curve, place: float) -> float:
    index = bisect_right([spent for spent, _ in curve], place) - 1
    return curve[max(index, 0)][1]
