import json
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from p2o.objectives import group_advantages, live_groups

REFERENCE = json.loads((Path(__file__).parents[1] / "assets/reference.json").read_text())

quarters = st.integers(-8, 8).map(lambda n: n / 4)
groups = st.lists(quarters, min_size=2, max_size=8)


def tensor(values: object) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


@pytest.mark.parametrize(
    ("divide_by_std", "name"), [(True, "divide_by_group_std"), (False, "mean_only")]
)
def test_agrees_with_the_reference(divide_by_std: bool, name: str) -> None:
    rewards = tensor(REFERENCE["reward"]).view(-1, REFERENCE["K"])
    advantages = group_advantages(rewards, divide_by_std=divide_by_std)
    expanded = advantages.view(-1, 1) * tensor(REFERENCE["response_mask"])
    assert_close(expanded, tensor(REFERENCE["advantage"][name]), atol=1e-9, rtol=0)


def test_a_lone_success_in_numbers() -> None:
    advantages = group_advantages(tensor([[1, 0, 0, 0, 0, 0]]), epsilon=0)
    std = (1 / 6) ** 0.5
    assert_close(advantages, tensor([[5 / 6 / std] + 5 * [-1 / 6 / std]]))


@given(st.floats(-1e6, 1e6), st.integers(1, 8), st.booleans())
def test_equal_rewards_give_exactly_zero(reward: float, size: int, divide: bool) -> None:
    rewards = torch.full((2, size), reward)
    assert torch.equal(group_advantages(rewards, divide_by_std=divide), torch.zeros(2, size))
    assert not live_groups(rewards).any()


@pytest.mark.filterwarnings("error")
def test_a_group_of_one_does_not_pass_its_reward_through() -> None:
    assert torch.equal(group_advantages(torch.tensor([[1.0], [0.0]])), torch.zeros(2, 1))


def test_rewards_that_differ_little_are_live() -> None:
    assert live_groups(tensor([[0.0, 1e-12], [0.3, 0.3]])).tolist() == [True, False]


@given(groups, quarters, st.booleans())
def test_shifting_all_rewards_changes_nothing(
    rewards: list[float], shift: float, divide: bool
) -> None:
    before = group_advantages(tensor([rewards]), divide_by_std=divide)
    after = group_advantages(tensor([rewards]) + shift, divide_by_std=divide)
    assert_close(after, before, atol=1e-9, rtol=0)


@given(groups, st.randoms(use_true_random=False))
def test_permuting_a_group_permutes_its_advantages(rewards: list[float], random) -> None:
    order = list(range(len(rewards)))
    random.shuffle(order)
    advantages = group_advantages(tensor([rewards]))
    permuted = group_advantages(tensor([rewards])[:, order])
    assert_close(permuted, advantages[:, order], atol=1e-9, rtol=0)


@given(groups)
def test_a_group_sums_to_zero(rewards: list[float]) -> None:
    assert abs(group_advantages(tensor([rewards])).sum().item()) < 1e-9
