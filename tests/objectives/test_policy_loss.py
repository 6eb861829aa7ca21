import json
from pathlib import Path
from typing import Any, Literal, get_args

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from p2o.distillation import ContextDistillation
from p2o.errors import UserError
from p2o.objectives import Aggregation, PolicyLoss

REFERENCE = json.loads((Path(__file__).parents[1] / "assets/reference.json").read_text())
AGGREGATIONS: dict[str, Aggregation] = {
    "token-mean": "token-mean",
    "seq-mean-token-sum": "sequence-mean-token-sum",
    "seq-mean-token-mean": "sequence-mean-token-mean",
}
RATIO_WEIGHTS: dict[str, Literal["hard", "soft"] | None] = {
    "none": None,
    "hard": "hard",
    "soft": "soft",
}


def tensor(values: object) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def name(case: dict[str, Any]) -> str:
    keys = ("aggregation", "clip_high", "context_ratio_mask")
    return "-".join(str(case[key]) for key in keys)


@pytest.mark.parametrize("case", REFERENCE["policy_loss"], ids=name)
def test_agrees_with_the_reference(case: dict[str, Any]) -> None:
    mask = tensor(REFERENCE["response_mask"])
    old = tensor(REFERENCE["old_logprob"])
    new = tensor(REFERENCE["new_logprob"]).requires_grad_()
    strategy = ContextDistillation(
        "bare",  # pyright: ignore[reportArgumentType]
        RATIO_WEIGHTS[case["context_ratio_mask"]],
        *case["bounds"],
    )
    policy_loss = PolicyLoss(
        case["clip_low"], case["clip_high"], case["dual_clip"], AGGREGATIONS[case["aggregation"]]
    )
    loss, metrics = policy_loss(
        new,
        old,
        tensor(REFERENCE["advantage"]["divide_by_group_std"]),
        mask,
        strategy.token_weights(old, tensor(REFERENCE["templated_logprob"])),
        total_tokens=mask.sum(),
        total_sequences=len(mask),
    )
    loss.backward()
    values = {"loss": loss.detach(), "grad_wrt_new_logprob": new.grad, **metrics}
    for key in ("loss", "grad_wrt_new_logprob", "clip_fraction", "approx_kl"):
        assert_close(values[key], tensor(case[key]), atol=1e-9, rtol=0)
    assert not any(value.requires_grad for value in metrics.values())


def random_batch(rows: int, length: int, seed: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    lengths = torch.randint(1, length + 1, (rows,), generator=generator)
    return {
        "log_probs": draw(rows, length),
        "old_log_probs": draw(rows, length),
        "advantages": draw(rows),
        "mask": torch.arange(length) < lengths[:, None],
        "token_weights": draw(rows, length).exp(),
    }


@pytest.mark.parametrize("aggregation", get_args(Aggregation))
@pytest.mark.parametrize("dual_clip", [None, 2.0])
def test_gradient_agrees_with_finite_differences(
    aggregation: Aggregation, dual_clip: float | None
) -> None:
    batch = random_batch(6, 5, seed=0)
    log_probs = batch.pop("log_probs").requires_grad_()
    loss = PolicyLoss(0.2, 0.28, dual_clip, aggregation)

    def value(x: torch.Tensor) -> torch.Tensor:
        return loss(x, **batch, total_tokens=batch["mask"].sum(), total_sequences=6)[0]

    assert torch.autograd.gradcheck(value, (log_probs,))


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 1000), st.sampled_from([1, 2, 3, 6]), st.sampled_from(get_args(Aggregation)))
def test_gradients_do_not_depend_on_micro_batches(
    seed: int, size: int, aggregation: Aggregation
) -> None:
    batch = random_batch(6, 5, seed)
    loss = PolicyLoss(aggregation=aggregation)
    totals = {"total_tokens": batch["mask"].sum(), "total_sequences": 6}
    whole = batch["log_probs"].clone().requires_grad_()
    loss(**{**batch, "log_probs": whole}, **totals)[0].backward()
    split = batch["log_probs"].clone().requires_grad_()
    for start in range(0, 6, size):
        part = {key: value[start : start + size] for key, value in batch.items()}
        loss(**{**part, "log_probs": split[start : start + size]}, **totals)[0].backward()
    assert_close(split.grad, whole.grad)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 1000), st.permutations(range(6)))
def test_gradients_follow_a_permutation_of_rows(seed: int, order: list[int]) -> None:
    batch = random_batch(6, 5, seed)
    totals = {"total_tokens": batch["mask"].sum(), "total_sequences": 6}
    straight = batch["log_probs"].clone().requires_grad_()
    PolicyLoss()(**{**batch, "log_probs": straight}, **totals)[0].backward()
    shuffled = {key: value[order] for key, value in batch.items()}
    shuffled["log_probs"] = shuffled["log_probs"].clone().requires_grad_()
    PolicyLoss()(**shuffled, **totals)[0].backward()
    assert straight.grad is not None
    assert_close(shuffled["log_probs"].grad, straight.grad[order])


def test_what_is_outside_the_mask_does_not_matter() -> None:
    batch = random_batch(4, 5, seed=1)
    totals = {"total_tokens": batch["mask"].sum(), "total_sequences": 4}
    clean = batch["log_probs"].clone().requires_grad_()
    expected, expected_metrics = PolicyLoss()(**{**batch, "log_probs": clean}, **totals)
    expected.backward()
    for key in ("log_probs", "old_log_probs", "token_weights"):
        batch[key] = batch[key].masked_fill(~batch["mask"], torch.nan)
    dirty = batch["log_probs"].requires_grad_()
    loss, metrics = PolicyLoss()(**batch, **totals)
    loss.backward()
    assert_close(loss, expected)
    assert_close(dirty.grad, clean.grad)
    assert_close(metrics, expected_metrics)


def test_weight_zero_stays_in_the_denominator() -> None:
    zeros, ones = torch.zeros(1, 4), torch.ones(1, 4, dtype=torch.bool)
    weights = torch.tensor([[1.0, 1.0, 0.0, 0.0]])
    loss, _ = PolicyLoss()(zeros, zeros, torch.tensor([1.0]), ones, weights, 4, 1)
    assert loss.item() == pytest.approx(-0.5)


def test_a_negative_advantage_is_bounded_by_the_second_clip() -> None:
    new, old = torch.full((1, 1), 100.0), torch.zeros(1, 1)
    arguments = (torch.tensor([-1.0]), torch.ones(1, 1), torch.ones(1, 1), 1, 1)
    loss, metrics = PolicyLoss(dual_clip=3.0)(new, old, *arguments)
    assert loss.item() == pytest.approx(3.0)
    assert metrics["dual_clip_fraction"].item() == 1
    loss, metrics = PolicyLoss(dual_clip=None)(new, old, *arguments)
    assert loss.isfinite()
    assert metrics["dual_clip_fraction"].item() == 0


@pytest.mark.parametrize(
    "setting",
    [{"clip_low": 1.5}, {"clip_high": -0.1}, {"dual_clip": 1.0}, {"aggregation": "median"}],
)
def test_a_setting_that_cannot_work_is_named(setting: dict[str, Any]) -> None:
    (key,) = setting
    with pytest.raises(UserError, match=rf"^algorithm\.loss\.{key}="):
        PolicyLoss(**setting)
