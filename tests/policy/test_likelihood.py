"""Log-probabilities and entropies are those of torch's own, and so are their gradients."""

import pytest
import torch
from torch.distributions import Categorical

from p2o.policy.likelihood import likelihood


def made(scale=3.0, count=7, vocabulary=11):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(count, vocabulary, generator=generator, dtype=torch.float64) * scale
    return logits, torch.randint(vocabulary, (count,), generator=generator)


@pytest.mark.parametrize("entropy_gradient", [False, True])
@pytest.mark.parametrize("scale", [0.0, 3.0, 300.0])
def test_values_are_those_of_a_categorical_distribution(scale, entropy_gradient):
    logits, targets = made(scale)
    log_probs, entropies = likelihood(logits, targets, entropy_gradient)
    expected = Categorical(logits=logits)
    torch.testing.assert_close(log_probs, expected.log_prob(targets), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(entropies, expected.entropy(), rtol=1e-12, atol=1e-9)


@pytest.mark.parametrize("entropy_gradient", [False, True])
def test_the_gradient_is_that_of_finite_differences(entropy_gradient):
    logits, targets = made()
    logits.requires_grad_()
    outputs = slice(None) if entropy_gradient else slice(1)
    assert torch.autograd.gradcheck(
        lambda values: likelihood(values, targets, entropy_gradient)[outputs], (logits,)
    )


@pytest.mark.parametrize("scale", [3.0, 300.0])
def test_the_gradient_is_that_of_log_softmax(scale):
    logits, targets = made(scale)
    weights = torch.linspace(-1, 1, len(targets), dtype=torch.float64)
    found, wanted = logits.clone().requires_grad_(), logits.clone().requires_grad_()
    (likelihood(found, targets, False)[0] * weights).sum().backward()
    every = wanted.log_softmax(-1).gather(-1, targets[:, None])[:, 0]
    (every * weights).sum().backward()
    torch.testing.assert_close(found.grad, wanted.grad, rtol=1e-12, atol=1e-15)


def test_a_token_that_is_next_to_impossible_keeps_its_log_probability():
    logits = torch.tensor([[0.0, -200.0, 5.0]], dtype=torch.float32)
    found, _ = likelihood(logits, torch.tensor([1]), False)
    assert found.item() == pytest.approx(-205.0067, abs=1e-4)


def test_entropies_have_a_gradient_where_that_is_asked_for_alone():
    logits, targets = made()
    logits.requires_grad_()
    assert likelihood(logits, targets, True)[1].requires_grad
    assert not likelihood(logits, targets, False)[1].requires_grad
    with torch.no_grad():
        assert not likelihood(logits, targets, False)[0].requires_grad
