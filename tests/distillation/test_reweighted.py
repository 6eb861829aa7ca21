"""RLSD against its equations, written out by hand, and what it promises of signs."""

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from p2o.distillation import Reweighted
from p2o.distillation.reweighted import evidence_weight
from p2o.errors import UserError
from p2o.prompt import Context

log_probs = st.lists(st.floats(-50, 0), min_size=4, max_size=4).map(torch.tensor)


def paper(advantage: float, student: float, teacher: float, epsilon: float, mix: float) -> float:
    """Equations 13 to 15 for one token, from probabilities; `mix` as the text below them has it."""
    ratio = math.exp(teacher) / math.exp(student)
    weight = ratio if advantage > 0 else 1 / ratio
    clipped = min(max(weight, 1 - epsilon), 1 + epsilon)
    return (1 - mix) * advantage + mix * advantage * clipped


@pytest.mark.parametrize("advantage", [1.5, -0.7])
@pytest.mark.parametrize("mix", [0.0, 0.5, 1.0])
def test_advantages_are_those_of_the_paper(advantage, mix):
    student = torch.tensor([0.5, 0.5, 0.5, 0.9, 0.01], dtype=torch.float64).log()
    teacher = torch.tensor([0.55, 0.45, 0.5, 0.001, 0.9], dtype=torch.float64).log()
    found = Reweighted(0.2, mix).token_advantages(advantage, advantage > 0, student, teacher)
    wanted = [
        paper(advantage, *pair, 0.2, mix)
        for pair in zip(student.tolist(), teacher.tolist(), strict=True)
    ]
    torch.testing.assert_close(found, torch.tensor(wanted, dtype=torch.float64))


def test_what_speaks_for_a_token_weighs_more_in_a_success_and_less_in_a_failure():
    student, teacher = torch.tensor([0.5, 0.5]).log(), torch.tensor([0.55, 0.45]).log()
    weights = [evidence_weight(a, student, teacher, 0.2, 1.0).tolist() for a in (1.0, -1.0)]
    assert weights[0] == pytest.approx([1.1, 0.9])
    assert weights[1] == pytest.approx([1 / 1.1, 1 / 0.9])


@given(log_probs, log_probs, st.floats(-3, 3), st.floats(0, 1), st.floats(0.01, 1))
def test_no_sign_is_turned_and_the_size_is_bounded(student, teacher, advantage, share, epsilon):
    found = Reweighted(epsilon, share).token_advantages(advantage, False, student, teacher)
    assert isinstance(found, torch.Tensor)
    assert bool(((found * advantage) >= 0).all())
    low, high = 1 - share * epsilon, 1 + share * epsilon
    assert bool((found.abs() >= abs(advantage) * low - 1e-4).all())
    assert bool((found.abs() <= abs(advantage) * high + 1e-4).all())


@given(log_probs, st.floats(-3, 3))
def test_a_policy_that_knows_nothing_more_leaves_the_advantage_as_it_is(student, advantage):
    found = Reweighted().token_advantages(advantage, False, student, student)
    torch.testing.assert_close(found, torch.full_like(student, advantage))


def test_the_share_falls_to_nothing_with_the_updates():
    shares = [Reweighted().after(updates).share for updates in (0, 10, 25, 50, 1000)]
    assert shares == pytest.approx([0.5, 0.4, 0.25, 0.0, 0.0])
    assert Reweighted(decay_updates=0).after(1000).share == 0.5


def test_responses_are_sampled_bare_and_trained_on_by_their_reward_where_nothing_is_told():
    assert Reweighted.rollout_context == Context.BARE
    assert Reweighted().rewards_alone
    assert not Reweighted().carries_gradient(0.0, True)


@pytest.mark.parametrize("settings", [{"epsilon": 0.0}, {"epsilon": 2.0}, {"epsilon": torch.nan}])
def test_a_setting_that_cannot_work_is_named(settings: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=r"^epsilon="):
        Reweighted(**settings)


def test_once_the_share_has_fallen_to_nothing_the_reward_alone_counts_and_nothing_is_scored():
    ended = Reweighted(decay_updates=2).after(2)
    assert Reweighted(decay_updates=2).after(1).needs_log_probs
    assert not ended.needs_log_probs
    nothing = torch.empty(0)
    assert ended.token_advantages(-0.5, False, nothing, nothing) == -0.5
