from itertools import product
from typing import Any

import pytest
import torch

from p2o.data.baseline import BareSuccessRate, GroupMean
from p2o.data.credit import CreditAssignment
from p2o.data.experience import ExperienceBuilder
from p2o.data.minibatch import MiniBatch
from p2o.data.prompt import Prompt
from p2o.data.sizes import BatchSizes
from p2o.distillation import (
    Context,
    ContextDistillation,
    NoDistillation,
    ReverseKL,
    SuccessOnly,
)
from p2o.ledger import Ledger
from p2o.objectives import KLPenalty, Overlong, group_advantages
from p2o.rollout.engine import Completion
from p2o.rollout.runner import Rollout
from p2o.verifiers.base import Score, Status

BARE, TEMPLATED = (1, 2), (9, 1, 2)
ON_BARE, ON_TEMPLATED = [-1.0, -2.0, -3.0], [-0.5, -2.0, -12.0]
VARIANTS = {
    "context_distillation": ContextDistillation(),
    "crm_soft": ContextDistillation(ratio_weight="soft"),
    "no_crm": ContextDistillation(ratio_weight=None),
    "importance_corrected": ContextDistillation(Context.TEMPLATED, ratio_weight=None),
    "no_distillation": NoDistillation(),
}


def rollout(
    template: str, reward: float = 1.0, question: str = "2 + 2", finish: Any = "stop"
) -> Rollout:
    return Rollout(
        Prompt.create([{"role": "user", "content": question}], "4"),
        template,
        BARE,
        TEMPLATED if template else BARE,
        Context.TEMPLATED,
        Completion((5, 6, 7), finish, (0.0, 0.0, 0.0)),
        "4",
        Score(reward, Status.OK),
    )


class Scorer:
    """Log-probabilities that tell the context; remembers what it was asked."""

    def __init__(self, shift: float = 0.0):
        self.calls, self.shift = [], shift

    def __call__(self, pairs):
        self.calls.append(list(pairs))
        return [
            torch.tensor(ON_BARE if context == BARE else ON_TEMPLATED) + self.shift
            for context, _ in pairs
        ]


def build(groups, strategy, scorer=None, *, reference=None, kl=None, mini_batch=1, **settings):
    credit = CreditAssignment(
        settings.get("advantages", group_advantages),
        settings.get("baseline", GroupMean()),
        settings.get("overlong", Overlong(3)),
        settings.get("drop_failed", False),
    )
    builder = ExperienceBuilder(
        BatchSizes(len(groups[0]), len(groups), mini_batch),
        credit,
        strategy,
        scorer or Scorer(),
        reference,
        kl or KLPenalty(),
        settings.get("entropy_bonus", False),
        Ledger(),
    )
    return builder.build(groups)


def pair(template: str) -> list[Rollout]:
    return [rollout(template, 1.0), rollout(template, 0.0)]


def contexts(batch: MiniBatch) -> list[tuple[int, ...]]:
    return [
        tuple(row[:length].tolist())
        for row, length in zip(batch.input_ids, batch.prompt_lengths, strict=True)
    ]


@pytest.mark.parametrize("name", VARIANTS)
def test_gradient_context_and_old_log_probs_are_those_of_the_variant(name):
    (_, second), _ = build([pair("Think."), pair("Think.")], VARIANTS[name])
    on_bare = name != "no_distillation"
    old_bare = name not in ("importance_corrected", "no_distillation")
    assert contexts(second) == [BARE if on_bare else TEMPLATED] * 2
    assert second.has_old.all()
    assert second.old_log_probs[0].tolist() == (ON_BARE if old_bare else ON_TEMPLATED)


def test_the_ratio_mask_zeroes_the_token_whose_ratio_is_out_of_bounds():
    [batch], _ = build([pair("Think.")], VARIANTS["context_distillation"])
    # Ratios are exp(-0.5), 1 and exp(9); the bounds are 0.01 and 10.
    assert batch.token_weights.tolist() == [[1.0, 1.0, 0.0]] * 2
    assert batch.mask.all()
    assert batch.total_tokens == 6


def test_masked_tokens_can_leave_the_denominator():
    strategy = ContextDistillation(masked_in_denominator=False)
    dead = [rollout("Think.", 0.0), rollout("Think.", 0.0)]
    [batch], _ = build([pair("Think."), dead], strategy, mini_batch=2)
    assert batch.total_tokens == 12 - 4
    assert batch.mask.tolist() == [[True, True, False]] * 4


@pytest.mark.parametrize(("name", "on_policy"), list(product(VARIANTS, (False, True))))
def test_nothing_is_computed_that_the_variant_does_not_need(name, on_policy):
    scorer = Scorer()
    mixed = [rollout("", 1.0), rollout("Think.", 0.0)]
    build([mixed] if on_policy else [[rollout("", 1.0)] * 2, mixed], VARIANTS[name], scorer)
    asked = [context for call in scorer.calls for context, _ in call]
    for_bare_rollout = 0 if on_policy else 1
    wanted = {
        "context_distillation": [BARE, TEMPLATED],
        "crm_soft": [BARE, TEMPLATED],
        "no_crm": [] if on_policy else [BARE],
        "importance_corrected": [TEMPLATED],
        "no_distillation": [] if on_policy else [TEMPLATED],
    }[name]
    assert sorted(asked) == sorted([BARE] * for_bare_rollout + wanted)
    assert len(scorer.calls) <= 1


@pytest.mark.parametrize("name", VARIANTS)
def test_a_bare_rollout_is_the_same_under_every_variant(name):
    (_, batch), _ = build([pair(""), pair("")], VARIANTS[name])
    assert contexts(batch) == [BARE] * 2
    assert batch.token_weights.tolist() == [[1.0] * 3] * 2
    assert batch.old_log_probs[0].tolist() == ON_BARE


def test_behaviour_cloning_puts_successes_alone_through_the_network():
    group = [*pair("Think."), rollout("Think.", 1.0)]
    (_, batch), _ = build([[rollout("")] * 3, group], SuccessOnly())
    assert batch.advantages.tolist() == [[1.0] * 3] * 2
    assert contexts(batch) == [BARE] * 2
    assert not batch.has_old.any()
    assert batch.total_tokens == 9


def test_all_successes_of_a_group_without_contrast_are_cloned():
    [batch], _ = build([[rollout("Think."), rollout("Think.")]], SuccessOnly())
    assert batch.advantages.tolist() == [[1.0] * 3] * 2


def test_reverse_kl_has_an_advantage_for_each_token_and_needs_no_contrast():
    [batch], _ = build([[rollout("Think.", 0.0)] * 2], ReverseKL(limit=5.0))
    assert batch.advantages.tolist() == [[0.5, 0.0, -5.0]] * 2
    assert contexts(batch) == [BARE] * 2
    assert batch.old_log_probs.tolist() == [ON_BARE] * 2


def test_failed_templated_rollouts_can_leave_the_loss_but_not_the_group():
    group = [*pair("Think."), rollout("", 0.0)]
    [batch], advantages = build([group], ContextDistillation(), drop_failed=True)
    whole, same = build([group], ContextDistillation())
    assert torch.equal(advantages, same)
    assert len(batch.advantages) == len(whole[0].advantages) - 1
    assert (batch.total_tokens, batch.total_sequences) == (6, 2)


def test_responses_that_were_cut_off_can_leave_the_loss_but_not_the_group():
    group = [rollout("", 1.0), rollout("", 0.0, finish="length"), rollout("", 0.0)]
    [batch], advantages = build([group], ContextDistillation(), overlong=Overlong(3, mask=True))
    assert torch.equal(advantages, group_advantages(torch.tensor([[1.0, 0.0, 0.0]])))
    assert (len(batch.advantages), batch.total_tokens, batch.total_sequences) == (2, 6, 2)


def test_a_step_whose_every_response_was_cut_off_is_finite():
    group = [rollout("", 1.0, finish="length"), rollout("", 0.0, finish="length")]
    [batch], _ = build([group], ContextDistillation(), overlong=Overlong(3, mask=True))
    assert not batch.mask.any()
    assert (batch.total_tokens, batch.total_sequences) == (1, 1)


def test_long_responses_are_punished_before_they_are_compared():
    def plain(rewards):
        return rewards

    _, advantages = build(
        [pair("")], ContextDistillation(), advantages=plain, overlong=Overlong(4, False, 0.5)
    )
    # Three tokens of four, of which the last two are punished: halfway.
    assert advantages.tolist() == [[0.5, -0.5]]


def test_bare_success_rate_is_what_the_bare_prompt_last_achieved():
    baseline = BareSuccessRate()
    bare = [rollout("", 1.0), rollout("", 0.0), rollout("", 0.0), rollout("", 0.0)]
    templated = [rollout("Think.", float(n < 3)) for n in range(4)]
    unseen = [rollout("Think.", 1.0, "3 + 3")] * 4
    _, advantages = build([bare, templated, unseen], ContextDistillation(), baseline=baseline)
    assert torch.equal(advantages[0], group_advantages(torch.tensor([[1.0, 0, 0, 0]]))[0])
    assert advantages[1].tolist() == [0.75, 0.75, 0.75, -0.25]
    assert advantages[2].tolist() == [1.0] * 4
    restored = BareSuccessRate()
    restored.load_state_dict(baseline.state_dict())
    _, again = build([templated], ContextDistillation(), baseline=restored)
    assert torch.equal(again[0], advantages[1])


def test_with_a_divergence_in_the_loss_every_response_goes_through_the_network():
    dead = [rollout("", 0.0), rollout("", 0.0)]
    [batch], _ = build(
        [dead], ContextDistillation(), reference=Scorer(-0.25), kl=KLPenalty(coefficient=0.1)
    )
    assert batch.reference_log_probs is not None
    assert batch.reference_log_probs.tolist() == [[-1.25, -2.25, -3.25]] * 2
    [batch], _ = build([dead], ContextDistillation(), entropy_bonus=True)
    assert len(batch.advantages) == 2


def test_a_divergence_in_the_reward_is_summed_over_tokens_and_compared_in_the_group():
    def plain(rewards):
        return rewards

    kl = KLPenalty(coefficient=0.1, estimator="k1", place="reward")
    _, advantages = build(
        [pair("")], ContextDistillation(), advantages=plain, reference=Scorer(-0.25), kl=kl
    )
    torch.testing.assert_close(advantages, torch.tensor([[1.0, 0.0]]) - 0.1 * 0.75)
