"""RL-ZVP's advantages against the formula of its paper, written out."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from p2o.objectives import entropy_shaped, group_advantages, zero_variance_advantages

ALPHA = 0.3


@given(
    st.lists(
        st.tuples(st.sampled_from([1.0, -1.0]), st.lists(st.floats(0, 5), min_size=1, max_size=6)),
        max_size=4,
    )
)
def test_a_token_of_a_group_of_equal_rewards_has_the_papers_advantage(responses):
    expected = []
    for sign, entropies in responses:
        for entropy in entropies:
            right, wrong = ALPHA * entropy, -ALPHA * (max(entropies) - entropy)
            expected.append(right if sign > 0 else wrong)
    flat = [entropy for _, entropies in responses for entropy in entropies]
    numbers = [n for n, (_, entropies) in enumerate(responses) for _ in entropies]
    given_ones = [ALPHA * sign for sign, entropies in responses for _ in entropies]
    found = entropy_shaped(
        torch.tensor(given_ones, dtype=torch.float64),
        torch.tensor(flat, dtype=torch.float64),
        torch.tensor(numbers, dtype=torch.long),
    )
    assert found.tolist() == pytest.approx(expected, abs=1e-9)


def test_a_group_with_contrast_is_grpos_and_others_say_right_or_wrong():
    rewards = torch.tensor(
        [[1.0, 0.0, 1.0], [1.0, 1.0, 1.0], [0.0, 0.0, 0.0], [0.5, 0.5, math.nan], [math.nan] * 3]
    )
    solved = torch.where(rewards.isnan(), rewards, (rewards == 1).float())
    found = zero_variance_advantages(rewards, solved, alpha=ALPHA)
    assert torch.equal(found[0], group_advantages(rewards)[0])
    expected = [[ALPHA] * 3, [-ALPHA] * 3, [-ALPHA, -ALPHA, 0.0], [0.0] * 3]
    assert found[1:].tolist() == [pytest.approx(row) for row in expected]
    grpo = group_advantages(rewards)
    assert torch.equal(zero_variance_advantages(rewards, solved, alpha=0.0), grpo)


def test_what_is_right_is_said_by_the_verdict_and_not_by_the_reward():
    rewards = torch.tensor([[0.5, 0.5], [1.0, 1.0], [0.0, 0.0]])
    solved = torch.tensor([[1.0, 1.0], [0.0, 0.0], [1.0, math.nan]])
    found = zero_variance_advantages(rewards, solved, alpha=ALPHA)
    expected = [[ALPHA, ALPHA], [-ALPHA, -ALPHA], [ALPHA, 0.0]]
    assert found.tolist() == [pytest.approx(row) for row in expected]
