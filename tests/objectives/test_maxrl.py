"""MaxRL's advantages: their expected gradient, exactly, is that of the truncated likelihood."""

from itertools import product

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from p2o.objectives import group_advantages, maxrl_advantages


def tensor(values: object) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def expected_gradient(chance: float, size: int, advantages) -> float:
    """Of a policy that is right with this probability, with respect to it, over all groups.

    The gradient of log-probability is 1/p of a success and -1/(1 - p) of a failure.
    """
    total = 0.0
    for group in product((0.0, 1.0), repeat=size):
        rewards = tensor([group])
        scores = rewards / chance - (1 - rewards) / (1 - chance)
        successes = int(sum(group))
        weight = chance**successes * (1 - chance) ** (size - successes)
        total += weight * (advantages(rewards) * scores).mean().item()
    return total


@pytest.mark.parametrize("size", [2, 3, 6, 8])
@pytest.mark.parametrize("chance", [0.03, 0.3, 0.5, 0.9])
def test_the_expected_gradient_is_that_of_the_likelihood_up_to_the_size_of_the_group(chance, size):
    series = sum((1 - chance) ** (k - 1) for k in range(1, size))
    assert expected_gradient(chance, size, maxrl_advantages) == pytest.approx(series, rel=1e-9)
    # Ever larger groups come to the gradient of log p; plain differences stay at that of p.
    assert series == pytest.approx((1 - (1 - chance) ** (size - 1)) / chance)


@pytest.mark.parametrize("chance", [0.03, 0.5])
def test_without_the_division_it_is_the_first_term_alone(chance):
    def plain(rewards):
        return group_advantages(rewards, divide_by_std=False)

    # A group's own mean as baseline takes 1/K of the gradient of p away.
    assert expected_gradient(chance, 6, plain) == pytest.approx(5 / 6)


def test_the_gradient_is_that_of_pass_at_k_weighed_by_one_over_k():
    """Equation of the paper: log p is minus the sum of fail@k over k."""
    chance, size, step = 0.2, 6, 1e-6

    def objective(p):
        return -sum((1 - p) ** k / k for k in range(1, size))

    slope = (objective(chance + step) - objective(chance - step)) / (2 * step)
    found = expected_gradient(chance, size, maxrl_advantages)
    assert found == pytest.approx(slope, rel=1e-6)


def test_a_lone_success_in_numbers():
    assert_close(maxrl_advantages(tensor([[1, 0, 0, 0]])), tensor([[3, -1, -1, -1]]))
    assert_close(maxrl_advantages(tensor([[1, 1, 1, 0]])), tensor([[1 / 3, 1 / 3, 1 / 3, -1]]))


@given(size=st.integers(2, 8), successes=st.integers(0, 8))
def test_successes_weigh_one_over_their_number(size, successes):
    successes = min(successes, size)
    found = maxrl_advantages(tensor([[1.0] * successes + [0.0] * (size - successes)]))
    if successes in (0, size):
        assert not found.any()
        return
    assert_close(found[0, :successes] / size, tensor([1 / successes - 1 / size] * successes))
    assert_close(found[0, successes:] / size, tensor([-1 / size] * (size - successes)))


def test_a_group_without_likelihood_and_one_without_contrast_get_zero():
    punished = tensor([[0, -0.5, 0], [0.3, 0.3, 0.3], [0, 0, 0]])
    assert not maxrl_advantages(punished).any()


def test_a_reward_without_a_verdict_counts_for_nothing():
    found = maxrl_advantages(tensor([[1, float("nan"), 0, 0], [float("nan")] * 4]))
    assert_close(found, tensor([[2, 0, -1, -1], [0, 0, 0, 0]]))
