"""Weights for an engine that samples from another policy than the trainer's.

Parity is with TRL's own correction, which its GRPO trainer applies to what vLLM samples.
"""

from dataclasses import replace
from functools import cache, partial
from typing import Any

import pytest
import torch
from hydra import compose, initialize_config_dir
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.testing import assert_close

from p2o.configuration.build import build, conf_directory
from p2o.errors import UserError
from p2o.objectives import ClippedLoss, EngineCorrection, KLPenalty, group_advantages
from tests.objectives.trl_harness import (
    Case,
    Step,
    double_precision,
    gap,
    make_case,
    p2o_step,
    score,
    trl_step,
)

REWARDS = [[1.0, 0.0, 0.0, 1.0], [0.5, 0.25, 0.0, 1.0], [0.0, 0.0, 1.0, 0.0]]
TEMPERATURE = 0.7
NOISE = 0.4
"""Standard deviation of the engine's log-probabilities around the trainer's."""
LEVELS, OUTSIDE = ("token", "sequence"), ("truncate", "mask")
ADVANTAGES = partial(group_advantages, epsilon=1e-4)
"""With what TRL adds to a standard deviation."""


# Parity


@cache
def case(drift: float) -> Case:
    """A case whose engine is off by some noise, and silent about every fifth response."""
    data = make_case(REWARDS, drift=drift)
    trainer = score(data, data.behaviour or data.model, TEMPERATURE)
    generator = torch.Generator().manual_seed(3)
    noisy = [v + NOISE * torch.randn(v.shape, generator=generator) for v in trainer]
    sampled = [values if index % 5 else None for index, values in enumerate(noisy)]
    return replace(data, sampled=sampled)


def weights_of(correction: EngineCorrection, data: Case) -> Tensor:
    trainer = score(data, data.behaviour or data.model, TEMPERATURE)
    pairs = zip(trainer, data.sampled or [], strict=True)
    sampled = [torch.full_like(own, torch.nan) if said is None else said for own, said in pairs]
    sequences = torch.arange(len(trainer)).repeat_interleave(data.lengths)
    return correction(torch.cat(trainer), torch.cat(sampled), sequences)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("drift", "accumulation"), [(0.0, 1), (0.4, 2)], ids=["on-policy", "off-policy"]
)
@pytest.mark.parametrize(("low", "high"), [(None, 1.2), (0.7, 1.5)])
@pytest.mark.parametrize("outside", OUTSIDE)
@pytest.mark.parametrize("level", LEVELS)
def test_loss_and_gradient_are_those_of_trl(
    tmp_path, level: Any, outside: Any, low: float | None, high: float, drift: float, accumulation
) -> None:
    correction = EngineCorrection(level, outside, low, high)
    with double_precision():
        data = case(drift)
        found, wanted = both(
            tmp_path,
            data,
            correction,
            ClippedLoss(clip_high=0.28, dual_clip=None),
            accumulation,
            loss_type="dapo",
            epsilon=0.2,
            epsilon_high=0.28,
        )
        assert_same(found, wanted)
        # What is inside and what is outside of the bounds both matter.
        weights = weights_of(correction, data)
        inside = (weights > (low or 0.0)) & (weights < high)
        assert inside.any()
        assert not inside.all()
        without = p2o_step(
            data,
            ClippedLoss(clip_high=0.28, dual_clip=None),
            ADVANTAGES,
            accumulation=accumulation,
            temperature=TEMPERATURE,
        )
    assert gap(without, wanted) > 1e-2


@pytest.mark.parametrize("level", LEVELS)
def test_a_mean_over_responses_and_a_divergence_in_the_loss(tmp_path, level: Any) -> None:
    """What a weight leaves out stays in the mean, and the divergence is not weighed."""
    correction = EngineCorrection(level, "mask", 0.7, 1.5)
    with double_precision():
        reference = make_case(REWARDS, drift=0.2, seed=9).behaviour
        found, wanted = both(
            tmp_path,
            replace(case(0.4), reference=reference),
            correction,
            ClippedLoss(dual_clip=None, aggregation="sequence-mean-token-mean"),
            2,
            kl=KLPenalty(coefficient=0.7),
            loss_type="grpo",
            beta=0.7,
            use_bias_correction_kl=False,
        )
    assert_same(found, wanted)


@pytest.mark.parametrize("drift", [0.0, 0.4], ids=["on-policy", "off-policy"])
def test_what_is_logged_of_the_two(drift: float) -> None:
    """Over the tokens that the engine spoke of, under the policy that it sampled from."""
    with double_precision():
        data = case(drift)
        found = p2o_step(
            data, ClippedLoss(), ADVANTAGES, accumulation=2, temperature=TEMPERATURE
        ).metrics
        trainer = score(data, data.behaviour or data.model, TEMPERATURE)
        pairs = zip(trainer, data.sampled or [], strict=True)
        ratios = torch.cat([own - said for own, said in pairs if said is not None]).exp()
    assert len(ratios) < data.lengths.sum()
    expected = (ratios - 1 - ratios.log()).mean().item()
    assert found["train/engine_kl"] == pytest.approx(expected, rel=1e-6)
    assert found["train/engine_ratio_max"] == pytest.approx(ratios.max().item(), rel=1e-6)


def test_an_engine_that_says_nothing_is_not_compared() -> None:
    data = make_case(REWARDS)
    found = p2o_step(data, ClippedLoss(), ADVANTAGES, correction=EngineCorrection())
    assert "train/loss" in found.metrics
    assert not any("engine" in name for name in found.metrics)
    assert gap(found, p2o_step(data, ClippedLoss(), ADVANTAGES)) == 0


def both(
    folder,
    data: Case,
    correction: EngineCorrection,
    loss: ClippedLoss,
    accumulation: int,
    kl: KLPenalty | None = None,
    **settings: Any,
) -> tuple[Step, Step]:
    """One optimiser step by p2o and by TRL."""
    wanted = trl_step(
        data,
        folder,
        accumulation=accumulation,
        temperature=TEMPERATURE,
        vllm_importance_sampling_mode=f"{correction.level}_{correction.outside}",
        vllm_importance_sampling_clip_min=correction.low,
        vllm_importance_sampling_clip_max=correction.high,
        **settings,
    )
    found = p2o_step(
        data,
        loss,
        ADVANTAGES,
        accumulation=accumulation,
        temperature=TEMPERATURE,
        kl=kl,
        correction=correction,
    )
    return found, wanted


def assert_same(found: Step, wanted: Step) -> None:
    assert_close(found.loss, wanted.loss, rtol=1e-6, atol=1e-12)
    assert gap(found, wanted) < 1e-9


# Properties

log_probs = st.lists(st.floats(-40, 0), min_size=6, max_size=6).map(
    lambda values: torch.tensor(values, dtype=torch.float64)
)
sequences = st.lists(st.integers(0, 2), min_size=6, max_size=6).map(
    lambda values: torch.tensor(sorted(values))
)
corrections = st.builds(
    EngineCorrection,
    st.sampled_from(LEVELS),
    st.sampled_from(OUTSIDE),
    st.none() | st.floats(0, 1),
    st.floats(1, 10),
)


@given(corrections, log_probs, sequences, st.lists(st.booleans(), min_size=6, max_size=6))
def test_weights_are_one_where_both_agree_or_the_engine_is_silent(
    correction, trainer, sequences, silent
) -> None:
    sampled = trainer.masked_fill(torch.tensor(silent), torch.nan)
    assert torch.equal(correction(trainer, sampled, sequences), torch.ones_like(trainer))


@given(corrections, log_probs, log_probs, sequences)
def test_weights_keep_their_bounds(correction, trainer, sampled, sequences) -> None:
    weights = correction(trainer, sampled, sequences)
    inside = (weights >= (correction.low or 0.0)) & (weights <= correction.high)
    if correction.outside == "mask":
        inside |= weights == 0
    assert inside.all()


@given(corrections, log_probs, log_probs, sequences)
def test_a_weight_within_the_bounds_is_the_ratio(correction, trainer, sampled, sequences) -> None:
    """Of the token, or the product over its response, written out."""
    log_ratio = trainer - sampled
    if correction.level == "sequence":
        log_ratio = torch.stack([log_ratio[sequences == each].sum() for each in sequences])
    ratio = log_ratio.exp()
    inside = (ratio >= (correction.low or 0.0)) & (ratio <= correction.high)
    weights = correction(trainer, sampled, sequences)
    assert_close(weights[inside], ratio[inside])


@given(corrections, log_probs, log_probs, sequences)
def test_tokens_of_a_response_share_the_weight_of_a_sequence(
    correction, trainer, sampled, sequences
) -> None:
    weights = replace(correction, level="sequence")(trainer, sampled, sequences)
    for each in sequences.unique():
        assert len(weights[sequences == each].unique()) == 1


@given(corrections, log_probs, log_probs, sequences)
def test_no_gradient_flows_through_a_weight(correction, trainer, sampled, sequences) -> None:
    assert not correction(trainer.clone().requires_grad_(), sampled, sequences).requires_grad


@given(corrections, st.sampled_from([-torch.inf, -1e30, torch.inf]))
def test_what_is_not_finite_stays_within_the_bounds(correction, sampled) -> None:
    """An engine that rules a token out must not spoil the step."""
    trainer = torch.full((3,), -1.0)
    weights = correction(trainer, torch.tensor([sampled, -1.0, -1.0]), torch.tensor([0, 0, 1]))
    assert weights.isfinite().all()
    assert (weights <= correction.high).all()
    assert weights[2] == 1


# Settings


@pytest.mark.parametrize(
    "settings",
    [
        {"level": "word"},
        {"outside": "drop"},
        {"low": -0.1},
        {"low": 1.1},
        {"low": float("nan")},
        {"high": 0.9},
        {"high": float("nan")},
    ],
    ids=repr,
)
def test_a_setting_that_cannot_work_is_named(settings: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=rf"^{next(iter(settings))}="):
        EngineCorrection(**settings)


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        ("none", None),
        ("token_truncated", EngineCorrection("token", "truncate", None, 2.0)),
        ("token_masked", EngineCorrection("token", "mask", 0.5, 5.0)),
        ("sequence_truncated", EngineCorrection("sequence", "truncate", None, 2.0)),
        ("sequence_masked", EngineCorrection("sequence", "mask", 0.5, 5.0)),
    ],
)
def test_an_option_is_what_its_name_says(option: str, expected: EngineCorrection | None) -> None:
    with initialize_config_dir(version_base="1.3", config_dir=str(conf_directory())):
        config = compose("train", overrides=[f"correction={option}"])
    assert build(config.correction, "correction") == expected


def test_none_is_the_default() -> None:
    with initialize_config_dir(version_base="1.3", config_dir=str(conf_directory())):
        assert compose("train").correction is None
