import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from p2o.errors import UserError
from p2o.objectives import KLPenalty, kl_estimate

ESTIMATORS = ("k1", "k2", "k3")
logits = st.lists(st.floats(-3, 3), min_size=5, max_size=5).map(
    lambda values: torch.tensor(values, dtype=torch.float64)
)


def exact(policy: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
    """KL(policy || reference), by torch."""
    return torch.nn.functional.kl_div(reference, policy, log_target=True, reduction="sum")


@pytest.mark.parametrize("estimator", ["k1", "k3"])
@given(first=logits, second=logits)
def test_two_of_them_are_unbiased(estimator, first, second) -> None:
    policy, reference = first.log_softmax(0), second.log_softmax(0)
    expectation = (policy.exp() * kl_estimate(policy, reference, estimator)).sum()
    assert_close(expectation, exact(policy, reference), atol=1e-9, rtol=1e-9)


def test_near_the_reference_all_three_agree() -> None:
    start = torch.randn(5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    policy, reference = (start * 1.001).log_softmax(0), start.log_softmax(0)
    wanted = exact(policy, reference)
    for estimator in ESTIMATORS:
        found = (policy.exp() * kl_estimate(policy, reference, estimator)).sum()
        assert_close(found, wanted, rtol=1e-2, atol=0)


@pytest.mark.parametrize("estimator", ["k1", "k2"])
@given(first=logits, second=logits)
def test_in_a_loss_two_of_them_have_the_gradient_of_the_divergence(
    estimator, first, second
) -> None:
    first = first.clone().requires_grad_()
    policy, reference = first.log_softmax(0), second.log_softmax(0)
    [wanted] = torch.autograd.grad(exact(policy, reference), first, retain_graph=True)
    loss = (policy.exp().detach() * kl_estimate(policy, reference, estimator)).sum()
    [found] = torch.autograd.grad(loss, first)
    assert_close(found, wanted, atol=1e-9, rtol=1e-7)


@given(first=logits, second=logits)
def test_k3_has_that_of_the_opposite_one(first, second) -> None:
    first = first.clone().requires_grad_()
    policy, reference = first.log_softmax(0), second.log_softmax(0)
    [wanted] = torch.autograd.grad(exact(reference, policy), first, retain_graph=True)
    loss = (policy.exp().detach() * kl_estimate(policy, reference, "k3")).sum()
    [found] = torch.autograd.grad(loss, first)
    assert_close(found, wanted, atol=1e-9, rtol=1e-7)


@given(st.floats(-200, 0), st.floats(-200, 0), st.sampled_from(ESTIMATORS))
def test_every_estimate_is_finite_and_only_k1_may_be_negative(policy, reference, estimator) -> None:
    value = kl_estimate(torch.tensor(policy), torch.tensor(reference), estimator)
    assert value.isfinite()
    assert estimator == "k1" or value >= 0


@pytest.mark.parametrize(
    "settings",
    [{"coefficient": -0.1}, {"coefficient": torch.nan}, {"estimator": "k4"}, {"place": "beside"}],
)
def test_a_setting_that_cannot_work_is_named(settings) -> None:
    with pytest.raises(UserError, match=rf"^{next(iter(settings))}="):
        KLPenalty(**settings)


def test_without_a_coefficient_it_is_nowhere() -> None:
    assert not KLPenalty(place="reward").in_reward
    assert not KLPenalty().in_loss
    assert KLPenalty(coefficient=0.1).in_loss
    assert KLPenalty(coefficient=0.1, place="reward").in_reward
