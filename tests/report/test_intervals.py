import numpy as np
import pytest

from p2o.report.intervals import (
    bootstrap_mean,
    mean_curve,
    paired_difference,
    sign_flip,
    wilson,
)


def test_wilson_solves_its_own_equation():
    # At both ends the share that was seen is z standard errors away from the true one.
    for right, number in ((3, 10), (7, 8), (50, 200)):
        for end in wilson(right, number):
            error = np.sqrt(end * (1 - end) / number)
            assert abs(right / number - end) / error == pytest.approx(1.959964, rel=1e-5)


def test_wilson_stays_between_nothing_and_all():
    low, high = wilson(0, 20)
    assert low == pytest.approx(0, abs=1e-12)
    assert 0.1 < high < 0.2
    assert wilson(20, 20)[1] == pytest.approx(1, abs=1e-12)


def test_the_bootstrap_is_that_of_numpy():
    values = np.random.default_rng(1).normal(size=12)
    drawn = np.random.default_rng(2).choice(values, size=(200_000, 12)).mean(axis=1)
    assert bootstrap_mean(values.tolist()) == pytest.approx(
        np.quantile(drawn, [0.025, 0.975]), abs=0.03
    )


def test_a_bootstrap_of_equal_values_has_no_width():
    assert bootstrap_mean([0.5] * 4) == (0.5, 0.5)


def test_signs_of_a_few_pairs_are_all_tried():
    # Of the eight changes of signs two give a sum as far from 0 as 1 + 2 + 3.
    assert sign_flip([1.0, 2.0, 3.0]) == 2 / 8
    # Here 1 + 2 - 3 = 0, which every sum is at least as far from 0 as.
    assert sign_flip([1.0, 2.0, -3.0]) == 1.0


def test_drawn_signs_agree_with_all_of_them():
    values = np.random.default_rng(3).normal(0.4, size=14).tolist()
    drawn = np.random.default_rng(4).choice((-1.0, 1.0), size=(100_000, 14))
    expected = np.mean(np.abs(drawn @ values) >= abs(sum(values)) - 1e-12)
    assert sign_flip(values) == pytest.approx(expected, abs=0.01)
    assert sign_flip([*values, 0.0]) == pytest.approx(expected, abs=0.02)


@pytest.mark.parametrize("pairs", [1, 2, 3, 5])
def test_few_seeds_allow_no_claim_however_clear_they_are(pairs):
    difference = paired_difference([0.5] * pairs)
    assert "no claim" in difference.says
    assert (difference.interval is None) == (pairs < 3)


def test_six_seeds_that_agree_allow_a_claim():
    difference = paired_difference([0.2, 0.3, 0.25, 0.4, 0.3, 0.2])
    assert difference.chance == 2 / 64
    assert "more than chance" in difference.says


def test_six_seeds_that_disagree_allow_none():
    assert "within what chance" in paired_difference([0.2, -0.3, 0.25, -0.4, 0.3, 0.1]).says


def test_without_a_pair_nothing_is_said_of_a_difference():
    difference = paired_difference([])
    assert (difference.mean, difference.interval, difference.chance) == (None, None, None)


def test_a_mean_curve_goes_through_the_means_and_keeps_the_last_value_of_a_run_that_ended():
    band = mean_curve([([0, 10], [0.0, 1.0]), ([0, 5], [0.0, 0.5]), ([0, 10], [0.0, 1.0])], 11)
    assert band.spent == list(range(11))
    assert band.mean[5] == pytest.approx(0.5)
    assert band.mean[10] == pytest.approx((1.0 + 0.5 + 1.0) / 3)
    assert band.low is not None
    assert band.high is not None
    assert band.low[10] <= band.mean[10] <= band.high[10]
    assert band.low[5] == band.high[5] == pytest.approx(0.5)


def test_a_mean_curve_begins_where_the_last_of_its_curves_does():
    band = mean_curve([([0, 10], [0.0, 1.0]), ([5, 10], [0.7, 0.8])], 6)
    assert band.spent == [5, 6, 7, 8, 9, 10]
    assert band.mean[0] == pytest.approx((0.5 + 0.7) / 2)


def test_two_curves_have_no_interval():
    assert mean_curve([([0, 1], [0, 1]), ([0, 1], [1, 1])]).low is None


def test_one_curve_is_its_own_mean():
    band = mean_curve([([0, 3, 4], [0.1, 0.2, 0.3])])
    assert (band.spent, band.mean) == ([0, 3, 4], [0.1, 0.2, 0.3])
