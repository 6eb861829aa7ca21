import json
from functools import partial
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from p2o.objectives import (
    batch_advantages,
    group_advantages,
    leave_one_out_advantages,
    live_groups,
)

REFERENCE = json.loads((Path(__file__).parents[1] / "assets/reference.json").read_text())

ESTIMATES = {
    "grpo": group_advantages,
    "dr_grpo": partial(group_advantages, divide_by_std=False),
    "rloo": leave_one_out_advantages,
    "reinforce_pp": batch_advantages,
}
each_estimate = pytest.mark.parametrize("estimate", ESTIMATES.values(), ids=ESTIMATES)

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


def test_leave_one_out_in_numbers() -> None:
    advantages = leave_one_out_advantages(tensor([[1, 0, 0.5]]))
    assert_close(advantages, tensor([[1 - 0.25, 0 - 0.75, 0.5 - 0.5]]))


def test_the_scale_of_the_batch_is_that_of_all_its_groups() -> None:
    rewards = tensor([[1, 0, 0, 0], [1, 1, 1, 1], [1, 1, 0, 0]])
    centred = rewards - rewards.mean(1, keepdim=True)
    expected = centred / centred.flatten().std()
    assert_close(batch_advantages(rewards, epsilon=0), expected)


@each_estimate
@given(reward=st.floats(-1e6, 1e6), size=st.integers(1, 8))
def test_equal_rewards_give_exactly_zero(estimate, reward: float, size: int) -> None:
    rewards = torch.full((2, size), reward)
    assert torch.equal(estimate(rewards), torch.zeros(2, size))
    assert not live_groups(rewards).any()


@each_estimate
def test_a_dead_group_beside_a_live_one_gets_exactly_zero(estimate) -> None:
    advantages = estimate(tensor([[0.1, 0.1, 0.1], [1, 0, 0]]))
    assert not advantages[0].any()
    assert advantages[1].all()


@each_estimate
@pytest.mark.filterwarnings("error")
def test_a_group_of_one_does_not_pass_its_reward_through(estimate) -> None:
    assert torch.equal(estimate(torch.tensor([[1.0], [0.0]])), torch.zeros(2, 1))


def test_rewards_that_differ_little_are_live() -> None:
    assert live_groups(tensor([[0.0, 1e-12], [0.3, 0.3]])).tolist() == [True, False]


@each_estimate
@given(rewards=groups, shift=quarters)
def test_shifting_all_rewards_changes_nothing(estimate, rewards: list[float], shift: float) -> None:
    before = estimate(tensor([rewards]))
    after = estimate(tensor([rewards]) + shift)
    assert_close(after, before, atol=1e-9, rtol=0)


@each_estimate
@given(rewards=groups, random=st.randoms(use_true_random=False))
def test_permuting_a_group_permutes_its_advantages(estimate, rewards: list[float], random) -> None:
    order = list(range(len(rewards)))
    random.shuffle(order)
    advantages = estimate(tensor([rewards]))
    permuted = estimate(tensor([rewards])[:, order])
    assert_close(permuted, advantages[:, order], atol=1e-9, rtol=0)


@each_estimate
@given(rewards=groups)
def test_a_group_sums_to_zero(estimate, rewards: list[float]) -> None:
    assert abs(estimate(tensor([rewards])).sum().item()) < 1e-9


@each_estimate
@given(rewards=groups, missing=st.sets(st.integers(0, 9), min_size=1, max_size=3))
def test_rewards_without_a_verdict_count_for_nothing(
    estimate, rewards: list[float], missing: set[int]
) -> None:
    """The others' advantages are those they have alone, in their group and in the batch."""
    with_holes, kept = list(rewards), []
    for place in sorted(missing):
        with_holes.insert(min(place, len(with_holes)), float("nan"))
    kept = [index for index, reward in enumerate(with_holes) if reward == reward]
    found = estimate(tensor([with_holes]))
    assert_close(found[:, kept], estimate(tensor([rewards])), atol=1e-9, rtol=0)
    assert found.isfinite().all()
    assert not found[tensor([with_holes]).isnan()].any()


@each_estimate
def test_a_group_without_any_verdict_is_dead(estimate) -> None:
    rewards = tensor([[float("nan")] * 3, [1, 0, float("nan")]])
    assert live_groups(rewards).tolist() == [False, True]
    advantages = estimate(rewards)
    assert not advantages[0].any()
    assert_close(advantages[1, :2], estimate(tensor([[1, 0]]))[0])
