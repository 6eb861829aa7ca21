import math
import sys
from dataclasses import replace
from functools import partial
from itertools import product
from typing import Any

import pytest
import torch

from p2o.accounting.ledger import Ledger
from p2o.distillation import (
    Context,
    ContextDistillation,
    NoDistillation,
    ReverseKL,
    Reweighted,
    SuccessOnly,
    Tapered,
)
from p2o.learning.baseline import BareSuccessRate, GroupMean
from p2o.learning.credit import CreditAssignment
from p2o.learning.experience import Experience, ExperienceBuilder
from p2o.learning.metrics import weight_metrics
from p2o.learning.minibatch import MiniBatch
from p2o.learning.sizes import BatchSizes
from p2o.objectives import KLPenalty, Overlong, group_advantages, zero_variance_advantages
from p2o.policy.packing import ALWAYS, Packer
from p2o.prompt import Prompt
from p2o.rollout.engine import Completion
from p2o.rollout.runner import Rollout
from p2o.verifiers.base import Score, Status
from tests.unpack import per_sample, samples_of, seen

PACKER = Packer()
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


@pytest.fixture(autouse=True, params=[Packer(), Packer(ALWAYS), Packer(pass_tokens=8)], ids=repr)
def packer(request, monkeypatch):
    """What is learned does not depend on how samples are packed."""
    monkeypatch.setattr(sys.modules[__name__], "PACKER", request.param)


class Scorer:
    """Log-probabilities that tell the context; remembers of what samples it was asked."""

    def __init__(self, shift: float = 0.0):
        self.calls, self.shift = [], shift

    def __call__(self, passes):
        before = [seen(packed) for packed in passes]
        self.calls.append([ids for each in before for ids in each if ids in (BARE, TEMPLATED)])
        return [torch.tensor([self.value(ids) for ids in each]) + self.shift for each in before]

    def value(self, before: tuple[int, ...]) -> float:
        templated = before[: len(TEMPLATED)] == TEMPLATED
        return (ON_TEMPLATED if templated else ON_BARE)[len(before) - 2 - templated]


def build(groups, strategy, scorer=None, **settings) -> tuple[list[Any], torch.Tensor]:
    experience = experience_of(groups, strategy, scorer, **settings)
    return experience.micro_batches, experience.advantages


def experience_of(
    groups, strategy, scorer=None, *, reference=None, kl=None, mini_batch=1, **settings
) -> Experience:
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
        lambda: PACKER,
        scorer or Scorer(),
        reference,
        kl or KLPenalty(),
        settings.get("entropy_bonus", False),
        Ledger(),
    )
    credit.observe(groups)
    return builder.build(groups)


def pair(template: str) -> list[Rollout]:
    return [rollout(template, 1.0), rollout(template, 0.0)]


def contexts(batch: MiniBatch) -> list[tuple[int, ...]]:
    return [before for before, _ in samples_of(batch)]


def stream(batch: MiniBatch, name: str) -> list[list[float]]:
    """Values of each sample."""
    return per_sample(batch, batch.streams[name])


@pytest.mark.parametrize("name", VARIANTS)
def test_gradient_context_and_old_log_probs_are_those_of_the_variant(name):
    (_, second), _ = build([pair("Think."), pair("Think.")], VARIANTS[name])
    on_bare = name != "no_distillation"
    old_bare = name not in ("importance_corrected", "no_distillation")
    assert contexts(second) == [BARE if on_bare else TEMPLATED] * 2
    assert stream(second, "old_log_probs") == [ON_BARE if old_bare else ON_TEMPLATED] * 2


def test_the_ratio_mask_zeroes_the_token_whose_ratio_is_out_of_bounds():
    [batch], _ = build([pair("Think.")], VARIANTS["context_distillation"])
    # Ratios are exp(-0.5), 1 and exp(9); the bounds are 0.01 and 10.
    assert stream(batch, "token_weights") == [[1.0, 1.0, 0.0]] * 2
    assert samples_of(batch) == [(BARE, (5, 6, 7))] * 2
    assert batch.total_tokens == 6


def test_masked_tokens_can_leave_the_denominator():
    strategy = ContextDistillation(masked_in_denominator=False)
    dead = [rollout("Think.", 0.0), rollout("Think.", 0.0)]
    [batch], _ = build([pair("Think."), dead], strategy, mini_batch=2)
    assert (batch.total_tokens, batch.total_sequences) == (12 - 4, 4)
    # The dead group's tokens are counted, and not put through the network.
    assert samples_of(batch) == [(BARE, (5, 6))] * 2
    assert stream(batch, "old_log_probs") == [ON_BARE[:2]] * 2


@pytest.mark.parametrize(("name", "on_policy"), list(product(VARIANTS, (False, True))))
def test_nothing_is_computed_that_the_variant_does_not_need(name, on_policy):
    scorer = Scorer()
    mixed = [rollout("", 1.0), rollout("Think.", 0.0)]
    build([mixed] if on_policy else [[rollout("", 1.0)] * 2, mixed], VARIANTS[name], scorer)
    asked = [context for call in scorer.calls for context in call]
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
    assert per_sample(batch, batch.stream("token_weights", 1.0)) == [[1.0] * 3] * 2
    assert stream(batch, "old_log_probs") == [ON_BARE] * 2


def test_behaviour_cloning_puts_successes_alone_through_the_network():
    group = [*pair("Think."), rollout("Think.", 1.0)]
    (_, batch), _ = build([[rollout("")] * 3, group], SuccessOnly())
    assert stream(batch, "advantages") == [[1.0] * 3] * 2
    assert contexts(batch) == [BARE] * 2
    assert not batch.has("old_log_probs").any()
    assert batch.total_tokens == 9


def test_all_successes_of_a_group_without_contrast_are_cloned():
    [batch], _ = build([[rollout("Think."), rollout("Think.")]], SuccessOnly())
    assert stream(batch, "advantages") == [[1.0] * 3] * 2


def test_reverse_kl_has_an_advantage_for_each_token_and_needs_no_contrast():
    [batch], _ = build([[rollout("Think.", 0.0)] * 2], ReverseKL(limit=5.0))
    assert stream(batch, "advantages") == [[0.5, 0.0, -5.0]] * 2
    assert contexts(batch) == [BARE] * 2
    assert stream(batch, "old_log_probs") == [ON_BARE] * 2


def test_failed_templated_rollouts_can_leave_the_loss_but_not_the_group():
    group = [*pair("Think."), rollout("", 0.0)]
    [batch], advantages = build([group], ContextDistillation(), drop_failed=True)
    whole, same = build([group], ContextDistillation())
    assert torch.equal(advantages, same)
    assert len(contexts(batch)) == len(contexts(whole[0])) - 1
    assert (batch.total_tokens, batch.total_sequences) == (6, 2)


def test_responses_that_were_cut_off_can_leave_the_loss_but_not_the_group():
    group = [rollout("", 1.0), rollout("", 0.0, finish="length"), rollout("", 0.0)]
    [batch], advantages = build([group], ContextDistillation(), overlong=Overlong(3, mask=True))
    assert torch.equal(advantages, group_advantages(torch.tensor([[1.0, 0.0, 0.0]])))
    assert (len(contexts(batch)), batch.total_tokens, batch.total_sequences) == (2, 6, 2)


def test_a_step_whose_every_response_was_cut_off_is_no_step():
    group = [rollout("", 1.0, finish="length"), rollout("", 0.0, finish="length")]
    [batch], _ = build([group], ContextDistillation(), overlong=Overlong(3, mask=True))
    assert batch is None


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


def test_bare_success_rate_takes_the_bare_rollouts_of_a_templated_group():
    baseline = BareSuccessRate()
    mixed = [*(rollout("Think.", 1.0) for _ in range(2)), rollout("", 1.0), rollout("", 0.0)]
    _, advantages = build([mixed], ContextDistillation(), baseline=baseline)
    assert advantages.tolist() == [[0.5, 0.5, 1.0, -1.0]]
    # A bare one alone is not measured against itself.
    alone = [*mixed[:2], mixed[2]]
    for advantages_of in (group_advantages, zero_variance_advantages):
        [batch], advantages = build(
            [alone], ContextDistillation(), baseline=baseline, advantages=advantages_of
        )
        assert advantages.tolist() == [[0.0, 0.0, 1.0]]
        # It has no hint, and its group has equal rewards; entropies are nobody's matter here.
        assert "without_contrast" not in batch.streams
    baseline.load_state_dict({mixed[0].prompt.id: 0.5})
    late = [rollout("Think.", 0.0), without_verdict("")]
    _, advantages = build([late], ContextDistillation(), baseline=baseline)
    # The rate stays, as no bare rollout of this group has a verdict.
    assert advantages.tolist() == [[-0.5, 0.0]]


def drawn(each: Rollout, tokens: int) -> Rollout:
    """The same, with as many tokens."""
    completion = Completion((5,) * tokens, "stop", (0.0,) * tokens)
    return replace(each, completion=completion)


def test_what_is_taken_for_length_is_no_part_of_what_bare_rollouts_achieve():
    """It is compared within the group: a rate of the verifier's own rewards knows nothing of it."""
    punishing = CreditAssignment(
        group_advantages, BareSuccessRate(), Overlong(24, False, 0.2), False
    )
    bare = [drawn(rollout("", 0.0), 22) for _ in range(6)]
    hinted = [drawn(rollout("Think.", 0.0), 22) for _ in range(6)]
    punishing.observe([bare, hinted])
    torch.testing.assert_close(punishing.assign([bare, hinted], 0.0), torch.zeros(2, 6))
    # A longer one is worse than the others, and a success better than the bare prompt.
    uneven = [drawn(rollout("Think.", float(k == 2)), (24, 22, 22)[k]) for k in range(3)]
    taken = torch.tensor([-1.0, -2.8 / 4.8, -2.8 / 4.8])
    [found] = punishing.assign([uneven], 0.0)
    torch.testing.assert_close(found, torch.tensor([0.0, 0.0, 1.0]) + taken - taken.mean())
    # One without a verdict has no part in it.
    unjudged = drawn(without_verdict("Think."), 24)
    [found] = punishing.assign([[*hinted[:2], unjudged]], 0.0)
    torch.testing.assert_close(found, torch.zeros(3))


def test_a_forced_beginning_that_is_learned_is_none_of_the_length_that_is_punished():
    """The engine has drawn a token less, and its limit is about what it draws."""
    drawn_alone = rollout("", 0.0)
    begun = Completion((4, 5, 6, 7), "stop", (math.nan, 0.0, 0.0, 0.0), (True,) * 4)
    groups = [[drawn_alone, replace(rollout("", 0.0), completion=begun)]]
    credit = CreditAssignment(lambda rewards: rewards, GroupMean(), Overlong(4, False, 0.5), False)
    assert credit.assign(groups, 0.0).tolist() == [[-0.5, -0.5]]


@pytest.mark.parametrize("rewards", [(1, 0), (True, False)])
def test_rewards_of_any_kind_of_number_are_compared_and_no_verdict_is_none(rewards):
    judged = [replace(rollout(""), score=Score(reward, Status.OK)) for reward in rewards]
    credit = CreditAssignment(lambda given: given, GroupMean(), Overlong(3), False)
    found = credit.verdicts([[*judged, without_verdict()], [*judged]])
    assert found.dtype == torch.get_default_dtype()
    assert found[:, :2].tolist() == [[1.0, 0.0]] * 2
    assert found[:, 2].isnan().all()


def test_with_a_divergence_in_the_loss_every_response_goes_through_the_network():
    dead = [rollout("", 0.0), rollout("", 0.0)]
    [batch], _ = build(
        [dead], ContextDistillation(), reference=Scorer(-0.25), kl=KLPenalty(coefficient=0.1)
    )
    assert stream(batch, "reference_log_probs") == [[-1.25, -2.25, -3.25]] * 2
    [batch], _ = build([dead], ContextDistillation(), entropy_bonus=True)
    assert len(contexts(batch)) == 2


def test_a_divergence_in_the_reward_is_summed_over_tokens_and_compared_in_the_group():
    def plain(rewards):
        return rewards

    kl = KLPenalty(coefficient=0.1, estimator="k1", place="reward")
    _, advantages = build(
        [pair("")], ContextDistillation(), advantages=plain, reference=Scorer(-0.25), kl=kl
    )
    torch.testing.assert_close(advantages, torch.tensor([[1.0, 0.0]]) - 0.1 * 0.75)


def test_failures_are_not_cloned_whatever_else_the_loss_has():
    """Rewards 1, 0, 0: a divergence or entropy term takes all through the network, not to 1."""
    group = [rollout("Think.", 1.0), rollout("Think.", 0.0), rollout("Think.", 0.0)]
    for settings in (
        {"entropy_bonus": True},
        {"kl": KLPenalty(coefficient=0.1), "reference": Scorer()},
        {},
    ):
        [batch], _ = build([group], SuccessOnly(), **settings)
        assert stream(batch, "advantages").count([1.0] * 3) == 1
        assert batch.streams["advantages"].sum() == 3


@pytest.mark.parametrize("place", ["loss", "reward"])
@pytest.mark.parametrize(("name", "context"), [(None, BARE), ("no_distillation", TEMPLATED)])
def test_a_divergence_is_measured_where_the_gradient_is_taken(place, name, context):
    """On the bare prompt for bare rollouts, on the templated one where that is trained."""
    reference = Scorer(-0.25)
    strategy = VARIANTS[name] if name else ContextDistillation()
    group = pair("Think." if name else "")
    build([group], strategy, reference=reference, kl=KLPenalty(coefficient=0.1, place=place))
    assert {asked for call in reference.calls for asked in call} == {context}


@pytest.mark.parametrize("strategy", [ContextDistillation(), SuccessOnly()], ids=["crm", "clone"])
@pytest.mark.parametrize("place", ["loss", "reward"])
def test_no_divergence_is_measured_with_tokens_of_another_context(strategy, place):
    """Tokens sampled after the template are no sample of the policy on the bare prompt."""
    reference = Scorer(-0.25)
    kl = KLPenalty(coefficient=0.1, estimator="k1", place=place)
    mixed = [rollout("Think.", 1.0), rollout("", 0.0)]
    [batch], _ = build([mixed], strategy, reference=reference, kl=kl)
    # For the metric; in the reward nobody pays where not all can be measured.
    assert [context for call in reference.calls for context in call] == [BARE]
    measured = per_sample(batch, batch.has("reference_log_probs"))
    templated = [row for row, has in enumerate(measured) if not any(has)]
    assert len(templated) == 1
    assert any(stream(batch, "advantages")[templated[0]])


def test_a_group_without_contrast_gets_no_advantage_from_its_divergence():
    """Else the penalty would be all it is trained on, in units of its own spread."""

    class Uneven(Scorer):
        def __call__(self, passes):
            sizes = [len(packed.targets) for packed in passes]
            return list((-torch.arange(sum(sizes)) // 3).float().split(sizes))

    kl = KLPenalty(coefficient=0.1, estimator="k1", place="reward")
    for reward in (0.0, 1.0):
        dead = [rollout("", reward), rollout("", reward), rollout("", reward)]
        [batch], advantages = build([dead], ContextDistillation(), reference=Uneven(), kl=kl)
        assert not advantages.any()
        assert batch is None
    live = [rollout("", 1.0), rollout("", 0.0), rollout("", 0.0)]
    _, advantages = build([live], ContextDistillation(), reference=Uneven(), kl=kl)
    assert advantages[0, 1] != advantages[0, 2]


def without_verdict(template: str = "", status: Status = Status.TIMEOUT) -> Rollout:
    return replace(rollout(template), score=Score(0.0, status))


@pytest.mark.parametrize("template", ["", "Think."])
@pytest.mark.parametrize("status", [Status.TIMEOUT, Status.ERROR])
@pytest.mark.parametrize("baseline", [GroupMean, BareSuccessRate])
def test_a_rollout_without_a_verdict_is_not_there(template, status, baseline):
    """Advantages, rows and denominators are those of the others alone."""
    judged = [rollout(template, 1.0), rollout(template, 0.0), rollout(template, 0.0)]
    failed = [without_verdict(template, status)] * 2
    for strategy in (ContextDistillation(), SuccessOnly(), ReverseKL()):
        [alone], expected = build([judged], strategy, baseline=baseline())
        [batch], advantages = build([judged + failed], strategy, baseline=baseline())
        torch.testing.assert_close(advantages[:, :3], expected)
        assert not advantages[:, 3:].any()
        assert torch.equal(batch.streams["advantages"], alone.streams["advantages"])
        assert batch.total_tokens == alone.total_tokens
        assert batch.total_sequences == alone.total_sequences


def test_one_right_answer_and_five_time_outs_teach_nothing():
    group = [rollout("", 1.0), *[without_verdict()] * 5]
    [batch], advantages = build([group], ContextDistillation(), entropy_bonus=False)
    assert batch is None
    assert not advantages.any()


def test_tokens_that_a_mask_drops_altogether_do_not_go_through_the_network():
    """A step of such responses alone is no step: momentum would move the weights."""

    class DropAll(ContextDistillation):
        def token_weights(self, old_bare, old_templated):
            return torch.zeros_like(old_bare)

    [batch], _ = build([pair("Think.")], DropAll())
    assert batch is None
    [batch], _ = build([[*pair("Think."), *pair("")]], DropAll())
    assert len(contexts(batch)) == 2
    assert batch.total_tokens == 12


def contrast(groups, strategy, baseline=None, observed=()) -> list[int]:
    """Which of `groups` dynamic sampling keeps."""
    credit = CreditAssignment(group_advantages, baseline or GroupMean(), Overlong(3), False)
    sizes = BatchSizes(len(groups[0]), len(groups), 1)
    builder = ExperienceBuilder(
        sizes, credit, strategy, lambda: PACKER, Scorer(), None, KLPenalty(), False, Ledger()
    )
    credit.observe([*observed, *groups])
    kept = builder.with_contrast(groups)
    return [index for index, group in enumerate(groups) if any(group is each for each in kept)]


def test_dynamic_sampling_keeps_what_strategy_and_baseline_can_learn_from():
    failed, solved = [rollout("Think.", 0.0)] * 2, [rollout("Think.", 1.0)] * 2
    bare_failed, bare_solved = [rollout("", 0.0)] * 2, [rollout("", 1.0)] * 2
    groups = [failed, solved, pair("Think."), bare_failed, bare_solved, pair("")]
    assert contrast(groups, ContextDistillation()) == [2, 5]
    assert contrast(groups, NoDistillation()) == [2, 5]
    # Each token has an advantage of its own, whatever the verdicts.
    assert contrast(groups, ReverseKL()) == [0, 1, 2, 5]
    # Successes are cloned without any failure beside them.
    assert contrast(groups, SuccessOnly()) == [1, 2, 5]
    # Measured against the bare prompt, which fails: every success is better than that.
    assert contrast(groups[:3], ContextDistillation(), BareSuccessRate()) == [1, 2]
    # What is dropped is still seen: the bare prompt succeeds always, so a failure is worse.
    rates = BareSuccessRate()
    assert contrast(groups[:3], ContextDistillation(), rates, [bare_solved]) == [0, 2]
    # A success beside one without a verdict has nothing to be compared with.
    lone = [without_verdict("Think."), rollout("Think.")]
    assert contrast([lone], ContextDistillation()) == []
    assert contrast([lone], SuccessOnly()) == [0]


def test_dropping_failures_drops_no_success_and_no_bare_failure():
    group = [rollout("Think.", 1.0), rollout("Think.", 0.0), rollout("", 0.0), rollout("", 1.0)]
    credit = CreditAssignment(group_advantages, GroupMean(), Overlong(3), True)
    assert [credit.counts(each) for each in group] == [True, False, True, True]


def test_a_partial_reward_that_counts_as_solved_is_no_failure():
    solved = replace(rollout("Think."), score=Score(0.9, Status.OK, solved=True))
    credit = CreditAssignment(group_advantages, GroupMean(), Overlong(3), True)
    assert credit.counts(solved)
    [batch], _ = build([[solved, rollout("Think.", 0.0)]], SuccessOnly())
    assert batch.streams["advantages"].unique().tolist() == [1.0]


def test_no_failure_is_raised_above_its_group_because_others_pay_for_their_divergence():
    """Where a part of a group cannot be measured, none of it pays."""
    kl = KLPenalty(coefficient=1.0, estimator="k1", place="reward")
    mixed = [rollout("Think.", 1.0), rollout("Think.", 0.0), rollout("", 1.0), rollout("", 0.0)]
    _, advantages = build([mixed], ContextDistillation(), reference=Scorer(-5.0), kl=kl)
    torch.testing.assert_close(advantages, group_advantages(torch.tensor([[1.0, 0.0, 1.0, 0.0]])))
    bare = [rollout("", 1.0), rollout("", 0.0)] * 2
    reference = Scorer(-5.0)
    build([mixed, bare], ContextDistillation(), reference=reference, kl=kl)
    assert len(reference.calls[0]) == len(bare)


@pytest.mark.parametrize("place", ["loss", "reward"])
@pytest.mark.parametrize("baseline", [GroupMean, BareSuccessRate])
def test_groups_of_different_sizes_have_the_advantages_of_each_alone(place, baseline):
    """K differs between prompts, and a rollout of one was dropped."""
    kl = KLPenalty(coefficient=0.1, estimator="k1", place=place)
    groups = [
        [rollout("", 1.0), rollout("", 0.0), rollout("", 0.0), rollout("", 1.0)],
        [rollout("Think.", 1.0, "3 + 3"), rollout("Think.", 0.0, "3 + 3")],
        [rollout("", 1.0, "4 + 4"), without_verdict(), rollout("", 0.0, "4 + 4")],
    ]
    settings: Any = {"kl": kl, "reference": Scorer(-0.25)}
    [batch], advantages = build(
        groups, ContextDistillation(), mini_batch=3, baseline=baseline(), **settings
    )
    assert advantages.shape == (3, 4)
    expected, streams = [], []
    for group, row in zip(groups, advantages, strict=True):
        [one], [alone] = build([group], ContextDistillation(), baseline=baseline(), **settings)
        torch.testing.assert_close(row[: len(group)], alone)
        assert not row[len(group) :].nan_to_num(0.0).any()
        expected += alone[alone != 0].tolist()
        streams += [values[0] for values in stream(one, "advantages") if any(values)]
    assert sorted(streams) == sorted(expected)
    found = [values[0] for values in stream(batch, "advantages") if any(values)]
    assert sorted(found) == pytest.approx(sorted(expected))
    assert (batch.total_sequences, batch.total_tokens) == (8, 24)


def test_dynamic_sampling_judges_groups_of_different_sizes_each_alone():
    groups = [pair(""), [rollout("", 1.0)] * 3, [*pair(""), rollout("", 0.0)], [rollout("")]]
    assert contrast(groups, ContextDistillation()) == [0, 2]


def with_inserted(reward: float) -> Rollout:
    """A rollout whose middle token an environment put there."""
    completion = Completion((5, 6, 7), "stop", (-0.1, 0.0, -0.3), (True, False, True))
    return replace(rollout("", reward), completion=completion)


def test_a_token_that_the_policy_did_not_choose_is_context_and_no_part_of_the_loss():
    groups = [[with_inserted(1.0), with_inserted(0.0)] for _ in range(2)]
    (first, second), _ = build(groups, ContextDistillation())
    for batch in (first, second):
        assert samples_of(batch) == [(BARE, (5, 7))] * 2
        assert {ids for packed in batch.passes for ids in seen(packed)} == {BARE, (*BARE, 5, 6)}
        assert (batch.total_tokens, batch.total_sequences) == (4, 2)
        for values in stream(batch, "sampled_log_probs"):
            assert values == pytest.approx([-0.1, -0.3])
    assert stream(second, "old_log_probs") == [[ON_BARE[0], ON_BARE[2]]] * 2


def test_the_engines_log_probabilities_are_there_where_it_sampled_what_is_trained():
    sampled = Completion((5, 6, 7), "stop", (-0.1, -0.2, -0.3))
    group = [replace(each, completion=sampled) for each in [*pair(""), *pair("Think.")]]
    [batch], _ = build([group], ContextDistillation())
    found = per_sample(batch, batch.stream("sampled_log_probs", 0.0))
    assert sorted(found) == [pytest.approx([-0.1, -0.2, -0.3])] * 2 + [[0.0] * 3] * 2
    assert sum(map(any, per_sample(batch, batch.has("sampled_log_probs")))) == 2
    [batch], _ = build([group], NoDistillation())
    assert batch.has("sampled_log_probs").all()


def test_a_hint_that_only_begins_the_answer_leaves_the_context_as_it_is():
    begun = [replace(rollout("half", reward), templated_ids=BARE) for reward in (1.0, 0.0)]
    [batch], _ = build([begun], ContextDistillation())
    assert batch.has("sampled_log_probs").all()


def test_without_old_log_probabilities_nothing_is_compared_with_the_engine():
    """In a later update the policy has moved, which is no mismatch."""
    begun = [replace(rollout("half", reward), templated_ids=BARE) for reward in (1.0, 0.0)]
    for batch in build([begun, begun], SuccessOnly())[0]:
        assert not batch.has("sampled_log_probs").any()


def test_the_engine_is_compared_on_rollouts_without_a_hint_too():
    sampled = Completion((5, 6, 7), "stop", (-1.5, -2.5, -3.5))
    group = [replace(each, completion=sampled) for each in pair("")]
    learned = experience_of([group, group], ContextDistillation()).learned
    # Only for the second update something is scored.
    assert learned[0, 0].engine_kl is None
    assert learned[1, 0].engine_kl == pytest.approx(-0.5)


def test_reweighting_that_has_ended_leaves_the_advantage_of_the_reward():
    """The ratio of the second update takes log-probabilities that the strategy asks for no more."""
    ended, _ = build([pair("Think.")] * 2, Reweighted(share=0.0))
    plain, _ = build([pair("")] * 2, ContextDistillation())
    for one, other in zip(ended, plain, strict=True):
        assert stream(one, "advantages") == stream(other, "advantages")
    assert stream(ended[1], "old_log_probs") == stream(plain[1], "old_log_probs")


@pytest.mark.parametrize("masked", [True, False])
def test_failures_are_not_pushed_down_alone_where_the_success_was_cut_off(masked):
    group = [rollout("Think.", 1.0, finish="length"), rollout("Think.", 0.0)]
    overlong = Overlong(3, mask=masked)
    [batch], _ = build([group], Tapered(), overlong=overlong)
    assert (batch is None) == masked
    # What has no hint is DAPO's own matter.
    [bare], _ = build([[replace(each, hint="") for each in group]], Tapered(), overlong=overlong)
    assert bare is not None


@pytest.mark.parametrize(("masked", "tokens", "responses"), [(True, 12, 4), (False, 6, 2)])
def test_silenced_failures_count_in_the_mean_where_tokens_without_weight_do(
    masked, tokens, responses
):
    """All of a success is dropped; the failure beside it is silenced, and in the mean or not."""
    strategy = ContextDistillation(
        low=0.9, high=0.95, pushes_alone=False, masked_in_denominator=masked
    )
    [batch], _ = build([pair("Think."), pair("")], strategy, mini_batch=2)
    assert (batch.total_tokens, batch.total_sequences) == (tokens, responses)
    assert sum(bool(any(values)) for values in stream(batch, "advantages")) == 2


def streams_of(batch: MiniBatch) -> dict[str, list[list[float]]]:
    return {
        name: stream(batch, name)
        for name, values in batch.streams.items()
        if not values.isnan().all()
    }


def test_successes_are_imitated_and_failures_weigh_as_much_as_the_bare_policy_says_them():
    """A response's log ratio of bare to templated is 8.5 here: the bare policy says it anyway."""
    [batch], _ = build([pair("Think.")], Tapered())
    assert sorted(stream(batch, "advantages")) == [
        pytest.approx([-0.7071] * 3, rel=1e-3),
        pytest.approx([0.7071] * 3, rel=1e-3),
    ]
    assert contexts(batch) == [BARE] * 2

    # With the template it is likelier by a factor of e.
    class Likelier(Scorer):
        def value(self, before):
            templated = before[: len(TEMPLATED)] == TEMPLATED
            return ON_BARE[len(before) - 2 - templated] + templated / 3

    [batch], _ = build([pair("Think.")], Tapered(), Likelier())
    assert sorted(stream(batch, "advantages")) == [
        pytest.approx([-0.7071 * math.exp(-1.0)] * 3, rel=1e-3),
        pytest.approx([0.7071] * 3, rel=1e-3),
    ]


def test_a_templated_success_without_contrast_is_imitated_and_a_failure_is_left_out():
    [batch], _ = build([[rollout("Think."), rollout("Think.")]], Tapered())
    assert stream(batch, "advantages") == [[1.0] * 3] * 2
    dead = [rollout("Think.", 0.0), rollout("Think.", 0.0)]
    assert build([dead], Tapered())[0] == [None]
    # Bare groups are plain GRPO.
    assert build([[rollout(""), rollout("")]], Tapered())[0] == [None]
    [batch], _ = build([pair("")], Tapered())
    [expected], _ = build([pair("")], ContextDistillation())
    assert streams_of(batch) == streams_of(expected)


@pytest.mark.parametrize(
    ("strategy", "wanted"),
    [
        # One of three tokens is dropped; advantages are 0.7071 and -0.7071.
        (ContextDistillation(), {"weight_zero": 1 / 3, "pull": 0.4714 / 2, "push": 0.4714 / 2}),
        (Tapered(), {"weight_zero": 0.0, "pull": 0.7071 / 2, "push": 0.7071 / 2}),
        (ContextDistillation(high=0.5), {"weight_zero": 1.0, "pull": 0.0, "push": 0.0}),
    ],
    ids=["masked", "tapered", "dropped"],
)
def test_what_pulls_and_pushes_is_logged(strategy, wanted):
    metrics = weight_metrics(experience_of([pair("Think.")], strategy).templated)
    found = {name.removeprefix("templated/"): value for name, value in metrics.items()}
    assert {name: found[name] for name in wanted} == pytest.approx(wanted, rel=1e-3)
    # Of -0.5, -2, -12 with the template and -1, -2, -3 without.
    assert found["reliance"] == pytest.approx((0.5 + 0.0 - 9.0) / 3)
    assert found["reach"] == pytest.approx(1 - wanted["weight_zero"])


def test_what_some_updates_measure_has_a_stream_in_all():
    """A guard must not take the value of an earlier update for that of this one."""
    [batch], _ = build([pair("Think.")], ContextDistillation(), reference=Scorer(-0.25))
    for name in ("reference_log_probs", "sampled_log_probs"):
        assert batch.streams[name].isnan().all()
    [batch], _ = build([pair("Think.")], ContextDistillation())
    assert "reference_log_probs" not in batch.streams


class OutOfReach(Scorer):
    """The bare policy hardly says a success, and says a failure, which has token 8, as it is."""

    def value(self, before):
        templated = before[: len(TEMPLATED)] == TEMPLATED
        said = 8 in before[2 + templated :]
        return -1.0 if said or templated else -20.0


def failure(template: str) -> Rollout:
    told = Completion((8, 6, 7), "stop", (0.0, 0.0, 0.0))
    return replace(rollout(template, 0.0), completion=told)


def reaching(micro_batches) -> list[float]:
    """Advantage times weight of each token that reaches an update."""
    return [
        advantage * weight
        for batch in micro_batches
        if batch is not None
        for advantage, weight in zip(
            batch.stream("advantages", 0.0).tolist(),
            batch.stream("token_weights", 1.0).tolist(),
            strict=True,
        )
    ]


KINDER = ContextDistillation(pushes_alone=False)


@pytest.mark.parametrize(
    "strategy",
    [*VARIANTS.values(), KINDER, Tapered(), SuccessOnly()],
    ids=[*VARIANTS, "pushes_alone=false", "tapered", "success_only"],
)
def test_no_update_consists_of_pushing_down_alone_but_the_papers(strategy):
    group = [rollout("Think."), failure("Think."), failure("Think.")]
    reached = reaching(build([group], strategy, OutOfReach())[0])
    alone = bool(reached) and max(reached) <= 0
    assert alone == (strategy == ContextDistillation())


def test_a_group_whose_successes_are_masked_away_contributes_no_failures_either():
    group = [rollout("Think."), failure("Think.")]
    experience = experience_of([group], KINDER, OutOfReach())
    assert experience.micro_batches == [None]
    metrics = weight_metrics(experience.templated)
    assert (metrics["templated/push"], metrics["templated/weight_zero"]) == (0.0, 1.0)
    assert [experience.learned[0, k].weight for k in range(2)] == [0.0, 0.0]
    # One success that is kept, here a bare one, and all is as it was; so is a group of another.
    mixed = [rollout("Think."), rollout(""), failure("Think.")]
    for group_of, scorer in ((mixed, OutOfReach), (pair("Think."), Scorer)):
        kinder = reaching(build([group_of], KINDER, scorer())[0])
        assert kinder == reaching(build([group_of], ContextDistillation(), scorer())[0])
        assert min(kinder) < 0 < max(kinder)
    # With an entropy bonus tokens stay in the update, without weight.
    [batch], _ = build([group], KINDER, OutOfReach(), entropy_bonus=True)
    assert batch.stream("token_weights", 1.0).tolist() == [0.0] * 6


def test_what_is_right_in_a_group_of_equal_rewards_is_said_by_the_verdict():
    verdicts = [Score(0.5, Status.OK, solved=True), Score(1.0, Status.OK, solved=False)]
    groups = [[replace(rollout(""), score=verdict)] * 2 for verdict in verdicts]
    batches, _ = build(groups, Tapered(), advantages=zero_variance_advantages)
    assert [stream(batch, "advantages")[0][0] for batch in batches] == pytest.approx([0.1, -0.1])


def test_what_a_function_of_anothers_gives_to_groups_of_equal_rewards_is_left_as_it_is():
    alone = [rollout(""), rollout("")]
    settings = {"advantages": lambda rewards: rewards - 0.5}
    [batch], _ = build([alone], Tapered(), **settings)
    assert stream(batch, "advantages") == [[0.5] * 3] * 2
    assert "without_contrast" not in batch.streams
    # One that asks for it says so, made with arguments or not.
    settings = {"advantages": partial(partial(zero_variance_advantages, alpha=0.5))}
    [batch], _ = build([alone], Tapered(), **settings)
    assert stream(batch, "advantages") == [[0.5] * 3] * 2
    assert batch.has("without_contrast").all()


def test_bare_groups_of_equal_rewards_can_be_learned_from_and_say_that_they_are_such():
    alone, failed = [rollout(""), rollout("")], [rollout("", 0.0), rollout("", 0.0)]
    settings = {"advantages": zero_variance_advantages}
    micro_batches, _ = build([alone, failed, pair("")], Tapered(), **settings)
    assert [stream(batch, "advantages")[0][0] for batch in micro_batches[:2]] == pytest.approx(
        [0.1, -0.1]
    )
    told = [bool(batch.has("without_contrast").all()) for batch in micro_batches]
    assert told == [True, True, False]
    # With a template it is the strategy that says what is learned: successes, and no failure.
    hinted = [rollout("Think."), rollout("Think.")]
    [batch, none], _ = build(
        [hinted, [rollout("Think.", 0.0), rollout("Think.", 0.0)]], Tapered(), **settings
    )
    assert none is None
    assert stream(batch, "advantages") == [[1.0] * 3] * 2
    assert "without_contrast" not in batch.streams
