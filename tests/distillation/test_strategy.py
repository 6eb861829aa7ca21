from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from p2o.distillation import (
    Context,
    ContextDistillation,
    DistillationStrategy,
    NoDistillation,
    ReverseKL,
    SuccessOnly,
    Tapered,
)
from p2o.distillation.strategy import refuse_unasked
from p2o.errors import UserError

log_probs = st.lists(st.floats(-50, 0), min_size=4, max_size=4).map(torch.tensor)


@pytest.mark.parametrize(
    ("strategy", "gradient", "old", "needs_log_probs"),
    [
        (ContextDistillation(), Context.BARE, Context.BARE, True),
        (ContextDistillation(ratio_weight="soft"), Context.BARE, Context.BARE, True),
        (ContextDistillation(ratio_weight=None), Context.BARE, Context.BARE, False),
        (
            ContextDistillation(Context.TEMPLATED, ratio_weight=None),
            Context.BARE,
            Context.TEMPLATED,
            False,
        ),
        (NoDistillation(), Context.TEMPLATED, Context.TEMPLATED, False),
        (SuccessOnly(), Context.BARE, None, False),
        (ReverseKL(), Context.BARE, Context.BARE, True),
        (Tapered(), Context.BARE, Context.BARE, True),
    ],
    ids=[
        "context_distillation",
        "crm_soft",
        "no_crm",
        "importance_corrected",
        "no_distillation",
        "success_only",
        "reverse_kl",
        "tapered",
    ],
)
def test_the_variants(
    strategy: DistillationStrategy,
    gradient: Context,
    old: Context | None,
    needs_log_probs: bool,
) -> None:
    assert strategy.gradient_context == gradient
    assert strategy.old_context == old
    assert strategy.needs_log_probs == needs_log_probs


def test_a_plain_string_becomes_a_context() -> None:
    settings: dict[str, Any] = {"old_context": "templated", "ratio_weight": None}
    assert ContextDistillation(**settings).old_context is Context.TEMPLATED


def test_weights_of_the_hard_and_the_soft_mask() -> None:
    bare = torch.tensor([0.001, 0.5]).log()
    templated = torch.tensor([1.0, 0.5]).log()
    assert ContextDistillation().token_weights(bare, templated).tolist() == [0, 1]
    soft = ContextDistillation(ratio_weight="soft").token_weights(bare, templated)
    assert soft.tolist() == [pytest.approx(10, rel=1e-5), 1]


@given(log_probs, log_probs, st.sampled_from(["hard", "soft"]))
def test_infinite_bounds_are_no_mask(
    bare: torch.Tensor, templated: torch.Tensor, kind: Any
) -> None:
    unbounded = ContextDistillation(ratio_weight=kind, low=1e-30, high=torch.inf)
    expected = ContextDistillation(ratio_weight=None).token_weights(bare, templated)
    assert torch.equal(unbounded.token_weights(bare, templated), expected)
    assert torch.equal(NoDistillation().token_weights(bare, templated), expected)


@pytest.mark.parametrize("ratio_weight", ["hard", "soft"])
def test_two_corrections_are_never_stacked(ratio_weight: Any) -> None:
    with pytest.raises(UserError) as error:
        ContextDistillation(Context.TEMPLATED, ratio_weight)
    assert "old_context" in str(error.value)
    assert "ratio_weight" in str(error.value)


@pytest.mark.parametrize(
    "settings",
    [
        {"low": 0.0},
        {"low": 2.0, "high": 2.0},
        {"low": 11.0},
        {"low": torch.nan},
        {"ratio_weight": "medium"},
        {"old_context": "both"},
    ],
)
def test_a_setting_that_cannot_work_is_named(settings: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=rf"^{next(iter(settings))}="):
        ContextDistillation(**settings)


def test_behaviour_cloning_takes_successes_alone_and_all_of_them_alike() -> None:
    strategy, nothing = SuccessOnly(), torch.empty(0)
    assert strategy.carries_gradient(0.0, True)
    assert not strategy.carries_gradient(0.7, False)
    assert strategy.token_advantages(-0.3, True, nothing, nothing) == 1.0
    assert strategy.token_advantages(0.7, False, nothing, nothing) == 0.0


def test_reverse_kl_advantages_estimate_the_gradient_of_the_divergence() -> None:
    """Against the exact gradient of KL(student || teacher), by enumeration of one token."""
    student = torch.randn(7, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    teacher = torch.randn(7, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    student.requires_grad_()
    divergence = torch.nn.functional.kl_div(
        teacher.log_softmax(0), student.log_softmax(0), log_target=True, reduction="sum"
    )
    [exact] = torch.autograd.grad(divergence, student)
    log_probs = student.log_softmax(0)
    advantages = ReverseKL(coefficient=2.0, limit=50.0).token_advantages(
        0.0, False, log_probs.detach(), teacher.log_softmax(0)
    )
    # Expectation over all tokens of minus advantage times score, as the policy loss has it.
    loss = -(log_probs.exp().detach() * advantages * log_probs).sum()
    [estimated] = torch.autograd.grad(loss, student)
    torch.testing.assert_close(estimated, 2.0 * exact)


def test_one_token_that_the_template_rules_out_is_bounded() -> None:
    advantages = ReverseKL(limit=3.0).token_advantages(
        0.0, False, torch.tensor([-0.1, -40.0]), torch.tensor([-40.0, -0.1])
    )
    assert isinstance(advantages, torch.Tensor)
    assert advantages.tolist() == [-3.0, 3.0]


@pytest.mark.parametrize("settings", [{"coefficient": 0.0}, {"limit": -1.0}, {"limit": torch.nan}])
def test_reverse_kl_names_a_setting_that_cannot_work(settings: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=rf"^{next(iter(settings))}="):
        ReverseKL(**settings)


def test_tapered_gradients_are_those_of_the_paper_by_enumeration() -> None:
    """Tapered off-policy REINFORCE, arXiv 2503.14286: mu for gains, min(mu, pi) for losses."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(9, dtype=torch.float64, generator=generator).requires_grad_()
    behaviour = torch.randn(9, dtype=torch.float64, generator=generator).log_softmax(0)
    rewards = torch.randn(9, dtype=torch.float64, generator=generator)
    log_probs = logits.log_softmax(0)
    policy, mu = log_probs.exp().detach(), behaviour.exp()
    weights = torch.where(rewards > 0, mu, torch.minimum(mu, policy)) * rewards
    [wanted] = torch.autograd.grad((weights * log_probs).sum(), logits, retain_graph=True)
    advantages = torch.tensor(
        [
            Tapered().token_advantages(reward, reward > 0, log_prob[None], other[None])
            for reward, log_prob, other in zip(
                rewards.tolist(), log_probs.detach(), behaviour, strict=True
            )
        ],
        dtype=torch.float64,
    )
    [found] = torch.autograd.grad((mu * advantages * log_probs).sum(), logits)
    torch.testing.assert_close(found, wanted)


@given(log_probs, log_probs, st.floats(-3, -0.1))
def test_a_failure_never_weighs_more_than_it_does_on_policy(
    bare: torch.Tensor, templated: torch.Tensor, advantage: float
) -> None:
    found = Tapered().token_advantages(advantage, False, bare, templated)
    assert advantage <= found <= 0
    assert Tapered().token_advantages(advantage, False, bare, bare) == advantage
    assert Tapered().token_advantages(-advantage, True, bare, templated) == -advantage


def test_a_success_is_imitated_where_its_group_has_no_contrast() -> None:
    nothing = torch.empty(0)
    assert Tapered().carries_gradient(0.0, True)
    assert not Tapered().carries_gradient(0.0, False)
    assert Tapered().token_advantages(0.0, True, nothing, nothing) == 1.0
    assert Tapered().token_advantages(0.0, False, nothing, nothing) == 0.0


class Weighs(DistillationStrategy):
    def token_weights(self, old_bare: torch.Tensor, old_templated: torch.Tensor) -> torch.Tensor:
        return torch.exp(old_bare - old_templated)


class WeighsWhenAsked(Weighs):
    needs_log_probs = True


def test_token_weights_that_nobody_asks_for_are_refused() -> None:
    with pytest.raises(UserError, match=r"^Weighs has token_weights, .* set it to True$"):
        refuse_unasked(Weighs())
    for strategy in (WeighsWhenAsked(), ContextDistillation(), SuccessOnly(), Tapered()):
        refuse_unasked(strategy)
