"""Curves as a picture: whatever the number of arms, and the same bytes each time."""

import re

import pytest

from p2o.bench.curves import band
from p2o.report.figures import MOST_IN_ONE, spending_curves


@pytest.mark.slow
@pytest.mark.parametrize("arms", [1, MOST_IN_ONE, MOST_IN_ONE + 3])
def test_every_arm_is_named_and_the_picture_repeats(tmp_path, arms):
    curves = [[(0.0, 0.1), (50.0, 0.5)], [(0.0, 0.1), (40.0, 0.9)]]
    bands = {f"arm {number}": band(curves, 100) for number in range(arms)}
    for name in ("one.svg", "other.svg"):
        spending_curves(bands, tmp_path / name, "rollouts", "arm 0")
    text = (tmp_path / "one.svg").read_text()
    assert text == (tmp_path / "other.svg").read_text()
    for label in bands:
        assert f"<!-- {label} -->" in text
    assert "rollouts spent, template search included" in text
    # Readable on a light page and on a dark one: no background.
    assert not re.search(r"fill: #ffffff(?!; opacity: 0)", text)


def test_an_arm_that_is_not_trained_has_a_line_all_the_same():
    found = band([[(0.0, 0.3)], [(0.0, 0.5)]], 100)
    assert (found.spent, found.mean) == ([0.0, 100], [0.4, 0.4])
