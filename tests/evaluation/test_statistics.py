"""pass@k and intervals against what they are by definition."""

from itertools import combinations
from statistics import NormalDist, fmean, stdev

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2o.evaluation.statistics import accuracy_interval, bootstrap_interval, success_interval
from p2o.learning.pass_at_k import mean_pass_at, pass_at_k


@given(st.lists(st.booleans(), min_size=1, max_size=9), st.integers(1, 9))
def test_pass_at_k_is_the_share_of_draws_with_a_right_one(outcomes, k):
    k = min(k, len(outcomes))
    draws = list(combinations(outcomes, k))
    expected = sum(any(draw) for draw in draws) / len(draws)
    assert pass_at_k(len(outcomes), sum(outcomes), k) == pytest.approx(expected)


def test_pass_at_more_than_there_are_samples_cannot_be_estimated():
    with pytest.raises(ValueError, match="pass@5 cannot be estimated from 4 samples"):
        pass_at_k(4, 1, 5)


@given(st.integers(1, 9), st.lists(st.integers(0, 9), min_size=1, max_size=5))
def test_the_mean_of_questions_is_told_for_powers_of_two(samples, right):
    right = [min(own, samples) for own in right]
    found = mean_pass_at(samples, right)
    assert list(found) == [k for k in (2, 4, 8) if k <= samples]
    for k, value in found.items():
        assert value == pytest.approx(fmean(pass_at_k(samples, own, k) for own in right))


def test_an_interval_is_that_of_the_normal_distribution_for_many_questions():
    values = [float(n % 3 == 0) for n in range(3000)]
    low, high = bootstrap_interval(values)
    half = NormalDist().inv_cdf(0.975) * stdev(values) / len(values) ** 0.5
    assert low == pytest.approx(fmean(values) - half, abs=1e-3)
    assert high == pytest.approx(fmean(values) + half, abs=1e-3)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_an_interval_lies_between_the_extremes_and_repeats(values):
    low, high = bootstrap_interval(values)
    assert min(values) - 1e-12 <= low <= high <= max(values) + 1e-12
    assert (low, high) == bootstrap_interval(values)


@pytest.mark.parametrize("questions", [1, 48, 1319])
def test_questions_that_are_all_right_do_not_show_that_all_would_be(questions):
    low, high = accuracy_interval([1.0] * questions)
    # With the true accuracy at its lower end, all of them are right in one of 40 cases.
    assert (low**questions, high) == (pytest.approx(0.025), 1.0)
    assert accuracy_interval([0.0] * questions) == (0.0, pytest.approx(1 - low))
    assert success_interval(questions, questions) == (low, high)


def test_other_questions_have_the_interval_of_resamples():
    for values in ([0.0, 1.0, 1.0], [0.5, 0.5]):
        assert accuracy_interval(values) == bootstrap_interval(values)
