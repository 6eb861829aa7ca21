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
from p2o.objectives import Aggregation, CISPOLoss, ClippedLoss, PolicyLoss

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
    policy_loss = ClippedLoss(
        clip_low=case["clip_low"],
        clip_high=case["clip_high"],
        dual_clip=case["dual_clip"],
        aggregation=AGGREGATIONS[case["aggregation"]],
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
    means = {name: total / mask.sum() for name, total in metrics.items()}
    values = {"loss": loss.detach(), "grad_wrt_new_logprob": new.grad, **means}
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


LOSSES: list[PolicyLoss] = [
    *(ClippedLoss(aggregation=mode, constant_length=7) for mode in get_args(Aggregation)),
    ClippedLoss(clip_high=0.28, dual_clip=None),
    ClippedLoss(ratio="sequence", aggregation="sequence-mean-token-mean"),
    ClippedLoss(ratio="sequence", dual_clip=None),
    CISPOLoss(max_ratio=1.5),
]
each_loss = pytest.mark.parametrize("loss", LOSSES, ids=repr)


@each_loss
def test_gradient_agrees_with_finite_differences(loss: PolicyLoss) -> None:
    batch = random_batch(6, 5, seed=0)
    # Unequal weights within a response make a sequence's ratio no function to differentiate.
    if getattr(loss, "ratio", "token") == "sequence":
        batch["token_weights"] = torch.ones_like(batch["token_weights"])
    log_probs = batch.pop("log_probs").requires_grad_()
    start = log_probs.detach().clone()

    def value(x: torch.Tensor) -> torch.Tensor:
        # The importance weight of CISPO has no gradient: it stays that of the starting point.
        moved = (x - start).detach() if isinstance(loss, CISPOLoss) else 0.0
        old = batch["old_log_probs"] + moved
        arguments = {**batch, "old_log_probs": old}
        return loss(x, **arguments, total_tokens=batch["mask"].sum(), total_sequences=6)[0]

    assert torch.autograd.gradcheck(value, (log_probs,))


@each_loss
@settings(max_examples=20)
@given(st.integers(0, 1000), st.sampled_from([1, 2, 3, 6]))
def test_gradients_do_not_depend_on_micro_batches(loss: PolicyLoss, seed: int, size: int) -> None:
    batch = random_batch(6, 5, seed)
    totals = {"total_tokens": batch["mask"].sum(), "total_sequences": 6}
    whole = batch["log_probs"].clone().requires_grad_()
    loss(**{**batch, "log_probs": whole}, **totals)[0].backward()
    split = batch["log_probs"].clone().requires_grad_()
    for start in range(0, 6, size):
        part = {key: value[start : start + size] for key, value in batch.items()}
        loss(**{**part, "log_probs": split[start : start + size]}, **totals)[0].backward()
    assert_close(split.grad, whole.grad)


@each_loss
@settings(max_examples=20)
@given(st.integers(0, 1000), st.permutations(range(6)))
def test_gradients_follow_a_permutation_of_rows(
    loss: PolicyLoss, seed: int, order: list[int]
) -> None:
    batch = random_batch(6, 5, seed)
    totals = {"total_tokens": batch["mask"].sum(), "total_sequences": 6}
    straight = batch["log_probs"].clone().requires_grad_()
    loss(**{**batch, "log_probs": straight}, **totals)[0].backward()
    shuffled = {key: value[order] for key, value in batch.items()}
    shuffled["log_probs"] = shuffled["log_probs"].clone().requires_grad_()
    loss(**shuffled, **totals)[0].backward()
    assert straight.grad is not None
    assert_close(shuffled["log_probs"].grad, straight.grad[order])


@each_loss
@pytest.mark.parametrize(("left", "right"), [(0, 3), (2, 0), (2, 1)])
def test_padding_of_any_side_and_width_does_not_matter(
    loss: PolicyLoss, left: int, right: int
) -> None:
    batch = random_batch(6, 5, seed=3)
    totals = {"total_tokens": batch["mask"].sum(), "total_sequences": 6}
    narrow = batch["log_probs"].clone().requires_grad_()
    loss(**{**batch, "log_probs": narrow}, **totals)[0].backward()
    wide = {
        key: value if value.dim() == 1 else torch.nn.functional.pad(value, (left, right))
        for key, value in batch.items()
    }
    wide["log_probs"] = wide["log_probs"].clone().requires_grad_()
    loss(**wide, **totals)[0].backward()
    assert wide["log_probs"].grad is not None
    assert_close(wide["log_probs"].grad[:, left : left + 5], narrow.grad)


@each_loss
def test_advantages_of_each_token_are_those_of_the_response_when_equal(loss: PolicyLoss) -> None:
    batch = random_batch(6, 5, seed=4)
    totals = {"total_tokens": batch["mask"].sum(), "total_sequences": 6}
    whole, _ = loss(**batch, **totals)
    batch["advantages"] = batch["advantages"][:, None].expand(6, 5)
    assert_close(loss(**batch, **totals)[0], whole)


@each_loss
def test_no_advantage_is_exactly_no_gradient(loss: PolicyLoss) -> None:
    batch = random_batch(6, 5, seed=5)
    log_probs = batch["log_probs"].requires_grad_()
    batch["advantages"] = torch.zeros(6, dtype=torch.float64)
    loss(**batch, total_tokens=batch["mask"].sum(), total_sequences=6)[0].backward()
    assert not log_probs.grad.any()  # type: ignore[union-attr]


def test_the_sequence_ratio_is_the_geometric_mean_of_its_tokens() -> None:
    """GSPO's own form, arXiv 2507.18071, equations 5 and 7, written out."""
    batch = random_batch(6, 5, seed=6)
    mask, advantages = batch["mask"], batch["advantages"]
    batch["token_weights"] = torch.ones_like(batch["token_weights"])
    log_probs = batch["log_probs"].requires_grad_()
    loss = ClippedLoss(
        ratio="sequence",
        clip_low=0.3,
        clip_high=0.4,
        dual_clip=None,
        aggregation="sequence-mean-token-mean",
    )
    found, _ = loss(**batch, total_tokens=mask.sum(), total_sequences=6)
    differences = (log_probs - batch["old_log_probs"]).masked_fill(~mask, 0.0)
    ratio = (differences.sum(1) / mask.sum(1)).exp()
    expected = -torch.minimum(ratio * advantages, ratio.clamp(0.7, 1.4) * advantages).mean()
    assert_close(found, expected)
    assert_close(
        torch.autograd.grad(found, log_probs, retain_graph=True),
        torch.autograd.grad(expected, log_probs),
    )


def test_a_clipped_weight_keeps_its_tokens_gradient() -> None:
    new = torch.tensor([[2.0]], requires_grad=True)
    ones = torch.ones(1, 1)
    loss, metrics = CISPOLoss(max_ratio=3.0)(
        new, torch.zeros(1, 1), torch.tensor([1.5]), ones, ones, 1, 1
    )
    loss.backward()
    assert new.grad is not None
    assert new.grad.item() == pytest.approx(-1.5 * 3.0)
    assert metrics["clip_fraction"].item() == 1


def test_what_is_outside_the_mask_does_not_matter() -> None:
    batch = random_batch(4, 5, seed=1)
    totals = {"total_tokens": batch["mask"].sum(), "total_sequences": 4}
    clean = batch["log_probs"].clone().requires_grad_()
    expected, expected_metrics = ClippedLoss()(**{**batch, "log_probs": clean}, **totals)
    expected.backward()
    for key in ("log_probs", "old_log_probs", "token_weights"):
        batch[key] = batch[key].masked_fill(~batch["mask"], torch.nan)
    dirty = batch["log_probs"].requires_grad_()
    loss, metrics = ClippedLoss()(**batch, **totals)
    loss.backward()
    assert_close(loss, expected)
    assert_close(dirty.grad, clean.grad)
    assert_close(metrics, expected_metrics)


def test_weight_zero_stays_in_the_denominator() -> None:
    zeros, ones = torch.zeros(1, 4), torch.ones(1, 4, dtype=torch.bool)
    weights = torch.tensor([[1.0, 1.0, 0.0, 0.0]])
    loss, _ = ClippedLoss()(zeros, zeros, torch.tensor([1.0]), ones, weights, 4, 1)
    assert loss.item() == pytest.approx(-0.5)


def test_a_negative_advantage_is_bounded_by_the_second_clip() -> None:
    new, old = torch.full((1, 1), 100.0), torch.zeros(1, 1)
    arguments = (torch.tensor([-1.0]), torch.ones(1, 1), torch.ones(1, 1), 1, 1)
    loss, metrics = ClippedLoss(dual_clip=3.0)(new, old, *arguments)
    assert loss.item() == pytest.approx(3.0)
    assert metrics["dual_clip_fraction"].item() == 1
    loss, metrics = ClippedLoss(dual_clip=None)(new, old, *arguments)
    assert loss.isfinite()
    assert "dual_clip_fraction" not in metrics


@pytest.mark.parametrize(
    ("make", "setting"),
    [
        (ClippedLoss, {"clip_low": 1.5}),
        (ClippedLoss, {"clip_high": -0.1}),
        (ClippedLoss, {"dual_clip": 1.0}),
        (ClippedLoss, {"ratio": "word"}),
        (ClippedLoss, {"aggregation": "median"}),
        (ClippedLoss, {"constant_length": None, "aggregation": "constant-length"}),
        (CISPOLoss, {"max_ratio": 0.5}),
        (CISPOLoss, {"aggregation": "median"}),
    ],
)
def test_a_setting_that_cannot_work_is_named(make: Any, setting: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=rf"^{next(iter(setting))}="):
        make(**setting)


def test_gspo_gives_each_token_the_gradient_of_its_own_weight() -> None:
    """GSPO-token, arXiv 2507.18071, section 4.3: the ratio is the sequence's, the score a token's.

    With rho = exp(mean log ratio), the loss of a response is -A rho sum_t w_t / total in value, and
    its gradient with respect to log-probability t is -A rho w_t / total.
    """
    old = tensor([[-1.0, -2.0, -0.5, -3.0]])
    new = (old + tensor([[0.1, -0.05, 0.02, 0.07]])).requires_grad_()
    weights = tensor([[1.0, 0.0, 0.25, 2.0]])
    mask = torch.ones(1, 4, dtype=torch.bool)
    loss, _ = ClippedLoss(ratio="sequence")(new, old, tensor([-0.7]), mask, weights, 5, 1)
    loss.backward()
    ratio = (new - old).detach().mean().exp()
    assert_close(loss.detach(), 0.7 * ratio * weights.sum() / 5)
    assert_close(new.grad, 0.7 * ratio * weights / 5)
