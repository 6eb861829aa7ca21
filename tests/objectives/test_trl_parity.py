"""p2o's algorithms against TRL's own trainers: loss and gradient of one optimiser step.

Both sides get the same model, completions and rewards, see `trl_harness`. Where TRL divides by
something else, the test names the line and shows that the gap is that factor and nothing more.
"""

from dataclasses import replace
from functools import cache, partial
from typing import Any

import pytest
import torch
from hydra import compose, initialize_config_dir
from torch.testing import assert_close
from trl.rewards.other_rewards import get_soft_overlong_punishment

from p2o.configuration.build import build, conf_directory
from p2o.objectives import (
    Aggregation,
    CISPOLoss,
    ClippedLoss,
    KLPenalty,
    Overlong,
    batch_advantages,
    group_advantages,
    leave_one_out_advantages,
)
from tests.objectives.trl_harness import (
    Case,
    Step,
    double_precision,
    gap,
    log_ratios,
    make_case,
    p2o_step,
    trl_step,
)

TOLERANCE = 1e-9
"""Relative, for the gradient of each parameter in norm; float64 leaves about 1e-14."""
TRL_EPSILON = 1e-4
"""What TRL adds to a standard deviation; p2o, as the reference, adds 1e-6."""
REWARDS = [[1.0, 0.0, 0.0, 1.0], [1.0] * 4, [0.5, 0.25, 0.0, 1.0], [0.0, 0.0, 1.0, 0.0]]
"""Ties, a dead group, four different values, a lone success."""
ON_POLICY, OFF_POLICY = 0.0, 0.4
TEMPERATURE = 0.7
TRL_ADVANTAGES = partial(group_advantages, epsilon=TRL_EPSILON)


@pytest.fixture(autouse=True)
def double():
    with double_precision():
        yield


@cache
def case(drift: float = ON_POLICY) -> Case:
    return make_case(REWARDS, drift=drift)


@pytest.fixture
def trl(tmp_path):
    return partial(trl_step, folder=tmp_path, temperature=TEMPERATURE)


p2o = partial(p2o_step, temperature=TEMPERATURE)


def algorithm(*overrides: str) -> Any:
    with initialize_config_dir(version_base="1.3", config_dir=str(conf_directory())):
        return compose("train", overrides=list(overrides)).algorithm


def assert_same(found: Step, wanted: Step, factor: float = 1.0) -> None:
    """The same loss and gradients, after `factor` on those of `wanted`."""
    assert_close(found.loss, factor * wanted.loss, rtol=1e-6, atol=1e-12)
    assert gap(found, wanted, factor) < TOLERANCE


# What each of our algorithms is called in TRL. Left out: settings whose TRL default is meant.
NAMED: dict[str, dict[str, Any]] = {
    "algorithm=grpo": {"loss_type": "dapo", "epsilon": 0.2, "delta": 3.0},
    "algorithm=grpo algorithm.loss.aggregation=sequence-mean-token-mean": {
        "loss_type": "grpo",
        "epsilon": 0.2,
        "delta": 3.0,
    },
    "algorithm=dapo": {"loss_type": "dapo", "epsilon": 0.2, "epsilon_high": 0.28},
    "algorithm=dr_grpo": {
        "loss_type": "dr_grpo",
        "epsilon": 0.2,
        "scale_rewards": "none",
        "max_completion_length": 24,
    },
    "algorithm=gspo": {
        "loss_type": "grpo",
        "importance_sampling_level": "sequence",
        "epsilon": 3e-4,
        "epsilon_high": 4e-4,
    },
    "algorithm=cispo": {"loss_type": "cispo", "epsilon_high": 5.0},
}


@pytest.mark.slow
@pytest.mark.parametrize("accumulation", [1, 2, 4])
@pytest.mark.parametrize("drift", [ON_POLICY, OFF_POLICY], ids=["on-policy", "off-policy"])
@pytest.mark.parametrize("overrides", NAMED)
def test_an_algorithm_is_the_one_that_trl_has(trl, overrides, drift, accumulation):
    config = algorithm(*overrides.split())
    loss = build(config.loss, "algorithm.loss")
    advantages = partial(build(config.advantages, "algorithm.advantages"), epsilon=TRL_EPSILON)
    wanted = trl(case(drift), accumulation=accumulation, **NAMED[overrides])
    found = p2o(case(drift), loss, advantages, accumulation=accumulation)
    assert_close(found.advantages, wanted.advantages, rtol=1e-12, atol=1e-12)
    assert_same(found, wanted)


def test_off_policy_every_clip_is_active():
    """Otherwise the cases above would say nothing of it."""
    responses = log_ratios(case(OFF_POLICY), TEMPERATURE)
    advantages = group_advantages(case(OFF_POLICY).rewards).flatten()
    ratios = torch.cat(responses).exp()
    signs = advantages.sign().repeat_interleave(case().lengths)
    assert (ratios[signs > 0] > 1.28).any()
    assert (ratios[signs < 0] < 0.8).any()
    assert (ratios[signs < 0] > 3).any()
    for sign in (-1, 1):
        assert (ratios[signs == sign] > 5).any()
    means = torch.stack([response.mean() for response in responses]).exp()
    assert (means[advantages > 0] > 1 + 4e-4).any()
    assert (means[advantages < 0] < 1 - 3e-4).any()
    # And not everything is clipped.
    assert (means[advantages > 0] < 1).any()


AGGREGATIONS: dict[Aggregation, str] = {
    "token-mean": "dapo",
    "sequence-mean-token-mean": "grpo",
    "sequence-mean-token-sum": "luspo",
    "constant-length": "dr_grpo",
}


@pytest.mark.slow
@pytest.mark.parametrize("ratio", ["token", "sequence"])
@pytest.mark.parametrize("aggregation", AGGREGATIONS)
def test_every_aggregation_with_every_ratio_has_a_counterpart(trl, aggregation, ratio):
    wanted = trl(
        case(OFF_POLICY),
        accumulation=2,
        loss_type=AGGREGATIONS[aggregation],
        importance_sampling_level=ratio,
        epsilon=0.1,
        epsilon_high=0.3,
        delta=2.0,
        max_completion_length=11,
    )
    loss = ClippedLoss(
        clip_low=0.1,
        clip_high=0.3,
        dual_clip=2.0,
        ratio=ratio,
        aggregation=aggregation,
        constant_length=11,
    )
    assert_same(p2o(case(OFF_POLICY), loss, TRL_ADVANTAGES, accumulation=2), wanted)


def test_temperature_divides_the_logits_on_both_sides(trl):
    wanted = trl(case(OFF_POLICY), accumulation=1, temperature=1.6, loss_type="dapo")
    loss = ClippedLoss(dual_clip=None)
    assert_same(p2o(case(OFF_POLICY), loss, TRL_ADVANTAGES, temperature=1.6), wanted)
    assert gap(p2o(case(OFF_POLICY), loss, TRL_ADVANTAGES, temperature=1.0), wanted) > 0.1


def test_however_responses_are_packed(trl):
    """In passes of one response, of some and of all; TRL pads each with its prompt."""
    wanted = trl(case(OFF_POLICY), accumulation=1, loss_type="dapo")
    loss = ClippedLoss(dual_clip=None)
    steps = [p2o(case(OFF_POLICY), loss, TRL_ADVANTAGES, pass_tokens=n) for n in (1, 64, 8192)]
    for found in steps:
        assert_same(found, wanted)
    trees = [any(packed.tree is not None for packed in found.passes) for found in steps]
    assert trees == [False, True, True]
    numbers = [len(found.passes) for found in steps]
    assert numbers == sorted(set(numbers), reverse=True)
    assert numbers[-1] == 1


def test_responses_that_were_cut_off_leave_loss_and_denominator(trl):
    """DAPO's overlong filtering: their reward still counts in their group."""
    wanted = trl(case(), accumulation=2, loss_type="dapo", mask_truncated_completions=True)
    ended = [index for index, (_, response) in enumerate(case().pairs) if response[-1] == 1]
    assert 0 < len(ended) < len(case().pairs)
    found = p2o(
        case(),
        ClippedLoss(),
        TRL_ADVANTAGES,
        accumulation=2,
        rows=ended,
        total_tokens=int(case().lengths[ended].sum()),
    )
    assert_same(found, wanted)


def test_soft_overlong_punishment():
    lengths = torch.arange(1, 25)
    ours = Overlong(max_tokens=24, punished_share=0.25).punishment(lengths)
    theirs = get_soft_overlong_punishment(max_completion_len=24, soft_punish_cache=6)
    assert_close(ours.tolist(), theirs([[0] * int(length) for length in lengths]))


@pytest.mark.slow
@pytest.mark.parametrize("accumulation", [1, 2, 4])
@pytest.mark.parametrize("aggregation", ["token-mean", "sequence-mean-token-mean"])
def test_kl_in_the_loss(trl, aggregation, accumulation):
    """k3, without the ratio that TRL by default multiplies it with."""
    data = replace(case(OFF_POLICY), reference=make_case(REWARDS, drift=0.2, seed=9).behaviour)
    wanted = trl(
        data,
        accumulation=accumulation,
        loss_type=AGGREGATIONS[aggregation],
        beta=0.7,
        use_bias_correction_kl=False,
    )
    loss, kl = ClippedLoss(dual_clip=None, aggregation=aggregation), KLPenalty(coefficient=0.7)
    found = p2o(data, loss, TRL_ADVANTAGES, accumulation=accumulation, kl=kl)
    assert_same(found, wanted)
    without = p2o(data, loss, TRL_ADVANTAGES, accumulation=accumulation)
    assert gap(without, wanted) > 0.1


def test_entropy_bonus_of_a_token_mean(trl):
    """In one micro-batch; over several TRL weighs tokens as BNPO does, whatever the loss."""
    settings = {"loss_type": "dapo", "entropy_coef": 0.3}
    loss = ClippedLoss(dual_clip=None)
    step = partial(p2o, case(OFF_POLICY), loss, TRL_ADVANTAGES, entropy_coefficient=0.3)
    assert_same(step(), trl(case(OFF_POLICY), accumulation=1, **settings))
    assert gap(step(), trl(case(OFF_POLICY), accumulation=2, **settings)) > 1e-3


# Differences


def test_epsilon_of_the_group_scale(trl):
    """A = (r - mean) / (std + epsilon): TRL's epsilon is 1e-4, ours is 1e-6."""
    wanted = trl(case(), accumulation=1).advantages
    std = case().rewards.std(dim=1, keepdim=True)
    factor = (std + 1e-6) / (std + TRL_EPSILON)
    assert_close(factor * group_advantages(case().rewards), wanted, rtol=1e-12, atol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("accumulation", [1, 2, 4])
def test_epsilon_of_the_group_scale_is_one_factor_where_groups_have_one_scale(trl, accumulation):
    same = make_case([[1.0, 0.0, 0.0, 1.0], [0.0, 1.0, 1.0, 0.0]] * 2, drift=OFF_POLICY)
    wanted = trl(same, accumulation=accumulation, loss_type="dapo")
    found = p2o(same, ClippedLoss(dual_clip=None), group_advantages, accumulation=accumulation)
    std = same.rewards[0].std().item()
    assert_same(found, wanted, factor=(std + TRL_EPSILON) / (std + 1e-6))
    assert gap(found, wanted) > 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("accumulation", [1, 2, 4])
def test_bnpo_weighs_a_token_by_its_micro_batch(trl, accumulation):
    """BNPO: the mean over a micro-batch's tokens, then over micro-batches.

    So the share of micro-batch m is larger by T / (M * T_m): T tokens in M micro-batches, T_m in m.
    """
    wanted = trl(case(OFF_POLICY), accumulation=accumulation, loss_type="bnpo")
    loss, lengths = ClippedLoss(dual_clip=None), case().lengths
    found = Step(gradients={name: torch.zeros(()) for name in wanted.gradients})
    for rows in wanted.micro_batches:
        share = p2o(case(OFF_POLICY), loss, TRL_ADVANTAGES, rows=rows)
        factor = lengths.sum().item() / (accumulation * lengths[rows].sum().item())
        found.loss += factor * share.loss
        for name, gradient in share.gradients.items():
            found.gradients[name] = found.gradients[name] + factor * gradient
    assert_same(found, wanted)
    plain = p2o(case(OFF_POLICY), loss, TRL_ADVANTAGES, accumulation=accumulation)
    if accumulation == 1:
        assert_same(plain, wanted)
    else:
        assert gap(plain, wanted) > 1e-3


def test_cispo_bound_is_absolute(trl):
    """min(ratio, epsilon_high), not 1 + epsilon_high: TRL's default caps all weights at 0.2."""
    wanted = trl(case(), accumulation=1, loss_type="cispo", epsilon=0.2)
    found = p2o(case(), CISPOLoss(max_ratio=1.0), TRL_ADVANTAGES)
    assert_same(found, wanted, factor=1 / 0.2)


def test_a_second_clip_below_the_first_means_something_else(trl):
    """TRL: -min(min(ratio, delta) A, clip(ratio) A).

    Where A < 0 the loss is bounded by max(delta, 1 + clip_high) |A|, and where A > 0 the ratio is
    clipped at min(delta, 1 + clip_high). With delta >= 1 + clip_high that is our second clip.
    Below, ours still bounds the loss by dual_clip |A| where A < 0, and leaves A > 0 alone.
    """
    data = case(OFF_POLICY)
    settings = {"accumulation": 1, "loss_type": "dapo", "epsilon": 0.2, "epsilon_high": 0.6}
    loss = partial(ClippedLoss, clip_high=0.6)
    wanted = trl(data, delta=1.6, **settings)
    assert_same(p2o(data, loss(dual_clip=1.6), TRL_ADVANTAGES), wanted)

    wanted = trl(data, delta=1.3, **settings)
    assert gap(p2o(data, loss(dual_clip=1.3), TRL_ADVANTAGES), wanted) > 1e-3
    negative = p2o(data, loss(dual_clip=1.6), lambda r: TRL_ADVANTAGES(r).clamp(max=0))
    positive = p2o(data, ClippedLoss(clip_high=0.3), lambda r: TRL_ADVANTAGES(r).clamp(min=0))
    both = {name: value + positive.gradients[name] for name, value in negative.gradients.items()}
    assert_same(Step(negative.loss + positive.loss, both), wanted)


@pytest.mark.slow
@pytest.mark.parametrize("accumulation", [1, 2, 4])
@pytest.mark.parametrize("drift", [ON_POLICY, OFF_POLICY], ids=["on-policy", "off-policy"])
def test_reinforce_pp_is_scaled_by_another_standard_deviation(trl, drift, accumulation):
    """A = (r - group mean) / scale, over the whole batch.

    REINFORCE++ with a baseline scales by std(r - group mean), TRL's scale_rewards="batch" by
    std(r), which also has the spread of the groups' means in it.
    """
    config = algorithm("algorithm=reinforce_pp")
    loss = build(config.loss, "algorithm.loss")
    advantages = build(config.advantages, "algorithm.advantages")
    rewards = case().rewards
    centred = rewards - rewards.mean(dim=1, keepdim=True)
    # The paper also subtracts the batch's mean, which is zero once the groups' means are gone.
    expected = (centred - centred.mean()) / (centred.std() + 1e-6)
    assert_close(advantages(rewards), expected, rtol=1e-12, atol=1e-12)
    assert_close(batch_advantages(rewards), expected, rtol=1e-12, atol=1e-12)

    wanted = trl(case(drift), accumulation=accumulation, loss_type="dapo", scale_rewards="batch")
    found = p2o(case(drift), loss, advantages, accumulation=accumulation)
    factor = ((rewards.std() + TRL_EPSILON) / (centred.std() + 1e-6)).item()
    assert_close(found.advantages, factor * wanted.advantages, rtol=1e-12, atol=1e-12)
    assert_same(found, wanted, factor)


@pytest.mark.slow
@pytest.mark.parametrize("accumulation", [1, 2, 4])
def test_rloo_on_policy(trl, accumulation):
    """The gradient is TRL's. The loss is -A for a response there, -A for each token here."""
    config = algorithm("algorithm=rloo")
    advantages = build(config.advantages, "algorithm.advantages")
    wanted = trl(case(), accumulation=accumulation, rloo=True)
    found = p2o(case(), build(config.loss, "algorithm.loss"), advantages, accumulation=accumulation)
    assert_close(found.advantages, wanted.advantages, rtol=1e-12, atol=1e-12)
    assert_close(leave_one_out_advantages(case().rewards), found.advantages)
    assert gap(found, wanted) < TOLERANCE
    values, lengths = found.advantages.flatten(), case().lengths
    assert_close(wanted.loss, -values.mean().item(), rtol=1e-6, atol=1e-12)
    assert_close(found.loss, -(values * lengths).mean().item(), rtol=1e-6, atol=1e-12)


def test_rloo_off_policy_has_a_ratio_of_tokens_where_trl_has_the_product(trl):
    """TRL: min(w A, clip(w) A) with w = exp(sum over tokens of the log ratio).

    Its gradient is that of the on-policy step with each response's advantage times w, or zero where
    the clip decides. Ours has the ratio of each token in place of w.
    """
    wanted = trl(case(OFF_POLICY), accumulation=2, rloo=True, epsilon=0.5)
    advantages = leave_one_out_advantages(case().rewards)
    weights = torch.stack([r.sum() for r in log_ratios(case(OFF_POLICY), TEMPERATURE)]).exp()
    weights = weights.view_as(advantages)
    clipped = weights.clamp(0.5, 1.5) * advantages < weights * advantages
    assert clipped.any()
    assert not clipped[advantages != 0].all()
    loss = ClippedLoss(
        clip_low=0.5, clip_high=0.5, dual_clip=None, aggregation="sequence-mean-token-sum"
    )
    weighted = torch.where(clipped, 0.0, weights * advantages)
    assert gap(p2o(case(), loss, lambda _: weighted, accumulation=2), wanted) < TOLERANCE
    assert gap(p2o(case(OFF_POLICY), loss, leave_one_out_advantages), wanted) > 0.1
