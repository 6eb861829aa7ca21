import json
from collections.abc import Sequence
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


SAMPLES = 6


def tensor(values: object) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def name(case: dict[str, Any]) -> str:
    keys = ("aggregation", "clip_high", "context_ratio_mask")
    return "-".join(str(case[key]) for key in keys)


@pytest.mark.parametrize("case", REFERENCE["policy_loss"], ids=name)
def test_agrees_with_the_reference(case: dict[str, Any]) -> None:
    mask = tensor(REFERENCE["response_mask"]).bool()
    sequences, _ = mask.nonzero(as_tuple=True)
    old, templated, new = (
        tensor(REFERENCE[key])[mask] for key in ("old_logprob", "templated_logprob", "new_logprob")
    )
    new.requires_grad_()
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
        tensor(REFERENCE["advantage"]["divide_by_group_std"])[mask],
        strategy.token_weights(old, templated),
        sequences,
        total_tokens=mask.sum(),
        total_sequences=len(mask),
    )
    loss.backward()
    means = {name: total / mask.sum() for name, total in metrics.items()}
    wanted = {key: tensor(case[key]) for key in ("loss", "clip_fraction", "approx_kl")}
    gradient = tensor(case["grad_wrt_new_logprob"])
    assert not gradient[~mask].any()
    wanted["gradient"] = gradient[mask]
    values = {"loss": loss.detach(), "gradient": new.grad, **means}
    for key, value in wanted.items():
        assert_close(values[key], value, atol=1e-9, rtol=0)
    assert not any(value.requires_grad for value in metrics.values())


def random_batch(seed: int, samples: int = SAMPLES) -> dict[str, torch.Tensor]:
    """Responses of one to five tokens, each with an advantage of its own."""
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(1, 6, (samples,), generator=generator)
    sequences = torch.arange(samples).repeat_interleave(lengths)

    def draw(size: int) -> torch.Tensor:
        return torch.randn(size, generator=generator, dtype=torch.float64)

    return {
        "log_probs": draw(len(sequences)),
        "old_log_probs": draw(len(sequences)),
        "advantages": draw(samples)[sequences],
        "token_weights": draw(len(sequences)).exp(),
        "sequences": sequences,
    }


def totals(batch: dict[str, torch.Tensor]) -> dict[str, Any]:
    return {"total_tokens": len(batch["sequences"]), "total_sequences": SAMPLES}


def gradient(
    loss: PolicyLoss, batch: dict[str, torch.Tensor], whole: dict[str, Any]
) -> torch.Tensor:
    """`[M]`, of the loss with respect to the log-probabilities."""
    log_probs = batch["log_probs"].clone().requires_grad_()
    value, _ = loss(**{**batch, "log_probs": log_probs}, **whole)
    return torch.autograd.grad(value, log_probs)[0]


def chosen(
    batch: dict[str, torch.Tensor], samples: Sequence[int]
) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """Some samples of a batch in this order, and the places of their tokens in it."""
    places = [(batch["sequences"] == sample).nonzero()[:, 0] for sample in samples]
    lengths = torch.tensor([len(each) for each in places])
    order = torch.cat(places)
    part = {key: value[order] for key, value in batch.items()}
    part["sequences"] = torch.arange(len(samples)).repeat_interleave(lengths)
    return part, order


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
    batch = random_batch(seed=0)
    whole = totals(batch)
    # Unequal weights within a response make a sequence's ratio no function to differentiate.
    if getattr(loss, "ratio", "token") == "sequence":
        batch["token_weights"] = torch.ones_like(batch["token_weights"])
    log_probs = batch.pop("log_probs").requires_grad_()
    start = log_probs.detach().clone()

    def value(x: torch.Tensor) -> torch.Tensor:
        # The importance weight of CISPO has no gradient: it stays that of the starting point.
        moved = (x - start).detach() if isinstance(loss, CISPOLoss) else 0.0
        old = batch["old_log_probs"] + moved
        return loss(x, **{**batch, "old_log_probs": old}, **whole)[0]

    assert torch.autograd.gradcheck(value, (log_probs,))


@each_loss
@settings(max_examples=20)
@given(st.integers(0, 1000), st.permutations(range(SAMPLES)), st.sampled_from([1, 2, 4, 6]))
def test_gradients_do_not_depend_on_order_nor_on_micro_batches(
    loss: PolicyLoss, seed: int, order: list[int], size: int
) -> None:
    """Which samples stand beside each other, and in which order, is the packer's choice."""
    batch = random_batch(seed)
    whole = totals(batch)
    found = torch.full_like(batch["log_probs"], torch.nan)
    for start in range(0, SAMPLES, size):
        part, places = chosen(batch, order[start : start + size])
        found[places] = gradient(loss, part, whole)
    assert_close(found, gradient(loss, batch, whole))


@each_loss
def test_a_tokens_advantage_acts_on_that_token(loss: PolicyLoss) -> None:
    """Advantages are each token's own, as self-distillation gives them."""
    batch = random_batch(seed=4)
    whole = totals(batch)
    before = gradient(loss, batch, whole)
    some = torch.arange(len(before)) % 2 == 0
    batch["advantages"] = batch["advantages"].masked_fill(some, 0.0)
    after = gradient(loss, batch, whole)
    assert not after[some].any()
    assert_close(after[~some], before[~some])


@each_loss
def test_no_advantage_is_exactly_no_gradient(loss: PolicyLoss) -> None:
    batch = random_batch(seed=5)
    batch["advantages"] = torch.zeros_like(batch["advantages"])
    assert not gradient(loss, batch, totals(batch)).any()


@each_loss
def test_a_micro_batch_without_tokens_adds_nothing(loss: PolicyLoss) -> None:
    """A rank that has nothing left to learn still takes part in the step."""
    nothing, _ = chosen(random_batch(seed=6), [0])
    nothing = {key: value[:0] for key, value in nothing.items()}
    nothing["log_probs"].requires_grad_()
    value, sums = loss(**nothing, total_tokens=7, total_sequences=2)
    assert value.requires_grad
    assert value.item() == 0
    assert all(total.item() == 0 for total in sums.values())


def test_the_sequence_ratio_is_the_geometric_mean_of_its_tokens() -> None:
    """GSPO's own form, arXiv 2507.18071, equations 5 and 7, written out."""
    batch = random_batch(seed=6)
    batch["token_weights"] = torch.ones_like(batch["token_weights"])
    log_probs = batch["log_probs"].requires_grad_()
    loss = ClippedLoss(
        ratio="sequence",
        clip_low=0.3,
        clip_high=0.4,
        dual_clip=None,
        aggregation="sequence-mean-token-mean",
    )
    found, _ = loss(**batch, **totals(batch))
    responses = []
    for sample in range(SAMPLES):
        of_sample = batch["sequences"] == sample
        difference = log_probs[of_sample] - batch["old_log_probs"][of_sample]
        ratio, advantage = difference.mean().exp(), batch["advantages"][of_sample][0]
        responses.append(torch.minimum(ratio * advantage, ratio.clamp(0.7, 1.4) * advantage))
    expected = -torch.stack(responses).mean()
    assert_close(found, expected)
    assert_close(
        torch.autograd.grad(found, log_probs, retain_graph=True),
        torch.autograd.grad(expected, log_probs),
    )


@pytest.mark.parametrize("advantage", [1.5, -1.5])
def test_a_clipped_weight_keeps_its_tokens_gradient(advantage) -> None:
    new = torch.tensor([2.0], requires_grad=True)
    loss, metrics = CISPOLoss(max_ratio=3.0)(
        new, torch.zeros(1), torch.tensor([advantage]), torch.ones(1), torch.tensor([0]), 1, 1
    )
    loss.backward()
    assert new.grad is not None
    assert new.grad.item() == pytest.approx(-advantage * 3.0)
    assert metrics["clip_fraction"].item() == 1


def test_weight_zero_stays_in_the_denominator() -> None:
    zeros, sequences = torch.zeros(4), torch.zeros(4, dtype=torch.long)
    weights = torch.tensor([1.0, 1.0, 0.0, 0.0])
    loss, _ = ClippedLoss()(zeros, zeros, torch.ones(4), weights, sequences, 4, 1)
    assert loss.item() == pytest.approx(-0.5)


def test_a_negative_advantage_is_bounded_by_the_second_clip() -> None:
    new, old = torch.full((1,), 100.0), torch.zeros(1)
    arguments = (torch.tensor([-1.0]), torch.ones(1), torch.tensor([0]), 1, 1)
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
        (ClippedLoss, {"clip_low": torch.nan}),
        (ClippedLoss, {"clip_high": torch.nan}),
        (ClippedLoss, {"dual_clip": torch.nan}),
        (ClippedLoss, {"ratio": "word"}),
        (ClippedLoss, {"aggregation": "median"}),
        (ClippedLoss, {"constant_length": None, "aggregation": "constant-length"}),
        (CISPOLoss, {"max_ratio": 0.5}),
        (CISPOLoss, {"max_ratio": torch.nan}),
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
    old = tensor([-1.0, -2.0, -0.5, -3.0])
    new = (old + tensor([0.1, -0.05, 0.02, 0.07])).requires_grad_()
    weights, advantages = tensor([1.0, 0.0, 0.25, 2.0]), torch.full_like(old, -0.7)
    sequences = torch.zeros(4, dtype=torch.long)
    loss, _ = ClippedLoss(ratio="sequence")(new, old, advantages, weights, sequences, 5, 1)
    loss.backward()
    ratio = (new - old).detach().mean().exp()
    assert_close(loss.detach(), 0.7 * ratio * weights.sum() / 5)
    assert_close(new.grad, 0.7 * ratio * weights / 5)
