from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from p2o.distillation import Context, ContextDistillation, DistillationStrategy, NoDistillation
from p2o.errors import UserError

log_probs = st.lists(st.floats(-50, 0), min_size=4, max_size=4).map(torch.tensor)


@pytest.mark.parametrize(
    ("strategy", "gradient", "old", "needs_ratio"),
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
    ],
    ids=["context_distillation", "crm_soft", "no_crm", "importance_corrected", "no_distillation"],
)
def test_the_five_variants(
    strategy: DistillationStrategy, gradient: Context, old: Context, needs_ratio: bool
) -> None:
    assert strategy.gradient_context == gradient
    assert strategy.old_context == old
    assert strategy.needs_ratio == needs_ratio


def test_a_plain_string_becomes_a_context() -> None:
    settings: dict[str, Any] = {"old_context": "templated", "ratio_weight": None}
    assert ContextDistillation(**settings).old_context is Context.TEMPLATED


def test_weights_of_the_hard_and_the_soft_mask() -> None:
    bare = torch.tensor([[0.001, 0.5]]).log()
    templated = torch.tensor([[1.0, 0.5]]).log()
    assert ContextDistillation().token_weights(bare, templated).tolist() == [[0, 1]]
    soft = ContextDistillation(ratio_weight="soft").token_weights(bare, templated)
    assert soft.tolist() == [[pytest.approx(10, rel=1e-5), 1]]


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
    assert "distillation.old_context" in str(error.value)
    assert "distillation.ratio_weight" in str(error.value)


@pytest.mark.parametrize(
    "settings",
    [
        {"low": 0.0},
        {"low": 2.0, "high": 2.0},
        {"low": 11.0},
        {"ratio_weight": "medium"},
        {"old_context": "both"},
    ],
)
def test_a_setting_that_cannot_work_is_named(settings: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=rf"^distillation\.{next(iter(settings))}="):
        ContextDistillation(**settings)
