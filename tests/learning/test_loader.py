import copy
import math
import random
from dataclasses import replace
from itertools import islice
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from p2o.accounting.ledger import Ledger
from p2o.distillation import ContextDistillation, DistillationStrategy, ReverseKL
from p2o.evolution.shares import AdaptiveShare
from p2o.learning.baseline import GroupMean
from p2o.learning.credit import CreditAssignment
from p2o.learning.evaluation import EvaluationLoader
from p2o.learning.experience import ExperienceBuilder
from p2o.learning.loader import RolloutLoader, _noted, _tried
from p2o.learning.minibatch import MiniBatch
from p2o.learning.sizes import BatchSizes
from p2o.objectives import KLPenalty, Overlong, group_advantages
from p2o.policy.packing import ALWAYS, Packer
from p2o.prompt import Context, Prompt
from p2o.rollout.engine import Completion, SamplingParameters
from p2o.rollout.runner import Rollout, RolloutRunner
from p2o.verifiers.base import Score, Status
from p2o_callbacks.pool import PromptPool, Template
from tests.unpack import per_sample, samples_of

PACKERS = [Packer(ALWAYS, pass_tokens=24), Packer(pass_tokens=24)]
PROMPTS = [Prompt.create([{"role": "user", "content": f"{n}"}], str(n)) for n in range(10)]


class FakeRunner:
    """Rewards and lengths follow from the seed; `dead` prompts get one reward for all rollouts."""

    engine = SimpleNamespace(release=lambda: None)

    def __init__(self, dead=()):
        self.dead, self.calls, self.contexts = set(dead), [], []

    def run(self, pairs, sampling, seed, context=Context.TEMPLATED):
        self.calls.append((list(pairs), seed))
        self.contexts.append(context)
        generator, rollouts = random.Random(seed), []
        for index, (prompt, template) in enumerate(pairs):
            tokens = tuple(generator.randrange(1, 50) for _ in range(generator.randint(1, 6)))
            reward = 0.0 if prompt.id in self.dead else float(index % 2)
            number = int(prompt.gold) + 2
            bare = (number,) * (1 + number % 3)
            rollouts.append(
                Rollout(
                    prompt,
                    template,
                    bare,
                    (99, *bare) if template else bare,
                    context,
                    Completion(tokens, "stop", (0.0,) * len(tokens)),
                    "",
                    Score(reward, Status.OK),
                )
            )
        return rollouts


def micro_batches(loader) -> list[Any]:
    """All of an epoch; those of a step without gradient are None."""
    return list(loader)


def make_loader(
    runner,
    position=(0, 0),
    events=None,
    logged=None,
    strategy=None,
    packer: Packer = PACKERS[0],
    **sizes,
):
    sizes = BatchSizes(**{"group_size": 4, "batch": 4, "mini_batch": 2, **sizes})

    def score(passes):
        if events is not None:
            events.append("score")
        return [torch.zeros(len(packed.targets)) for packed in passes]

    ledger = Ledger()
    credit = CreditAssignment(group_advantages, GroupMean(), Overlong(6), False)
    builder = ExperienceBuilder(
        sizes,
        credit,
        strategy or ContextDistillation(),
        lambda: packer,
        score,
        None,
        KLPenalty(),
        False,
        ledger,
    )
    return RolloutLoader(
        PROMPTS,
        runner,
        builder,
        sizes,
        SamplingParameters(),
        ledger,
        position=lambda: position,
        refresh_engine=lambda: events.append("refresh") if events is not None else None,
        log=logged.append if logged is not None else lambda metrics: None,
        seed=3,
    )


@given(
    prompts=st.integers(1, 60),
    batch=st.integers(1, 20),
    mini=st.integers(1, 20),
    k=st.integers(1, 3),
)
def test_the_length_announced_is_the_length_delivered(prompts, batch, mini, k):
    sizes = BatchSizes(group_size=2, batch=batch, mini_batch=min(mini, batch), micro_batches=k)
    whole = [min(batch, prompts - start) for start in range(0, prompts, batch)]
    counted = sum(len(range(0, size, sizes.mini_batch)) for size in whole)
    assert sizes.mini_batches(prompts) == counted


@pytest.mark.parametrize("sizes", [{}, {"micro_batches": 3}, {"batch": 3}, {"mini_batch": 4}])
def test_an_epoch_is_one_pass_over_the_prompts(sizes):
    runner = FakeRunner()
    loader = make_loader(runner, **sizes)
    assert len(list(loader)) == len(loader)
    asked = [prompt.id for pairs, _ in runner.calls for prompt, _ in pairs]
    assert sorted(asked) == sorted([prompt.id for prompt in PROMPTS] * 4)


def test_order_and_seeds_repeat_for_an_epoch_and_differ_between_epochs():
    calls = []
    for epoch in (0, 0, 1):
        runner = FakeRunner()
        list(make_loader(runner, position=(epoch, 0)))
        calls.append(runner.calls)
    assert calls[0] == calls[1]
    assert calls[0] != calls[2]


def test_every_epoch_has_an_order_of_its_own():
    orders = []
    for epoch in range(3):
        runner = FakeRunner()
        list(make_loader(runner, position=(epoch, 0)))
        orders.append([prompt.id for pairs, _ in runner.calls for prompt, _ in pairs])
    assert len({tuple(order) for order in orders}) == 3
    assert len({tuple(sorted(order)) for order in orders}) == 1


class Recording:
    """An engine that answers with nothing but remembers what it was given."""

    def __init__(self):
        self.seeds, self.prompts = [], []

    def generate(self, prompts, sampling, seeds):
        self.seeds += seeds
        self.prompts += prompts
        return [Completion((5,), "stop", (0.0,)) for _ in prompts]

    def release(self):
        pass


def recording_runner() -> RolloutRunner:
    renderer: Any = SimpleNamespace(
        render=lambda messages, template="": [9] * bool(template) + [1, 2],
        decode=lambda token_ids: "",
    )
    verifier: Any = SimpleNamespace(
        score=lambda responses, prompts: [Score(0.0, Status.OK) for _ in responses]
    )
    engine: Any = Recording()
    return RolloutRunner(engine, renderer, verifier, 10)


@pytest.mark.parametrize("context", list(Context))
def test_the_engine_is_asked_in_the_context_that_is_wanted(context):
    runner = recording_runner()
    [rollout] = runner.run([(PROMPTS[0], "Think.")], SamplingParameters(), 0, context)
    engine: Any = runner.engine
    assert [list(ids) for ids in engine.prompts] == [list(rollout.ids(context))]
    assert rollout.sampled_after == context
    assert rollout.bare_ids != rollout.templated_ids


def test_no_two_rollouts_of_a_run_share_a_seed():
    """Those of a prompt would be copies, those of two batches or epochs be correlated."""
    runner = recording_runner()
    engine: Any = runner.engine
    for epoch in range(2):
        list(make_loader(runner, position=(epoch, 0)))
    assert len(engine.seeds) == 2 * 4 * len(PROMPTS)
    assert len(set(engine.seeds)) == len(engine.seeds)


@pytest.mark.parametrize("strategy", [ContextDistillation(), ReverseKL()], ids=["crm", "reverse"])
def test_the_strategy_says_what_responses_are_sampled_after(strategy):
    runner = FakeRunner()
    list(make_loader(runner, strategy=strategy))
    assert set(runner.contexts) == {strategy.rollout_context}


def test_templates_that_had_no_room_are_counted_for_each_batch():
    class NoRoom(FakeRunner):
        def run(self, pairs, sampling, seed, context=Context.TEMPLATED):
            crowded = [text == "Long." for _, text in pairs]
            fitting = [(p, "" if long else t) for (p, t), long in zip(pairs, crowded, strict=True)]
            made = super().run(fitting, sampling, seed, context)
            named = zip(made, crowded, strict=True)
            return [replace(r, crowded="Long." * long) for r, long in named]

    logged: list = []
    loader = make_loader(NoRoom(), logged=logged, batch=10)
    loader.pool = PromptPool(
        (Template("Long."), Template("Short.")),
        (0, 1),
        {PROMPTS[3].id: (0, 0, 1, None), PROMPTS[4].id: (0, 1, 1, 1)},
    )
    list(loader)
    loader.position = lambda: (1, 0)
    list(loader)
    assert [row["rollout/template_overflows"] for row in logged] == [3.0, 3.0]


def test_a_rollout_without_room_counts_for_the_bare_prompt_and_against_its_hint():
    [rollout] = FakeRunner().run([(PROMPTS[0], "")], SamplingParameters(), 0)
    right = replace(rollout, score=Score(1.0, Status.OK, solved=True), crowded="Long.")
    (bare, trial), (hint, failure) = _tried([right])
    assert (bare, trial.solved, trial.score) == ("", True, 1.0)
    assert "too long" not in trial.feedback
    assert (hint, failure.solved, failure.score) == ("Long.", False, 0.0)
    assert "too long" in failure.feedback
    assert len(_tried([rollout])) == 1


class Judged(FakeRunner):
    """Rollouts with a hint are right, of those without the first of a call alone."""

    def run(self, pairs, sampling, seed, context=Context.TEMPLATED):
        made, bare = super().run(pairs, sampling, seed, context), 0
        for index, rollout in enumerate(made):
            bare += not rollout.templated
            solved = rollout.templated or bare == 1
            score = Score(float(solved), Status.OK, solved=solved)
            made[index] = replace(rollout, score=score)
        return made


def test_rollouts_of_a_group_with_a_hint_and_without_have_a_rate_each():
    loader = make_loader(Judged(), batch=1, mini_batch=1)
    hard, all_hinted = PROMPTS[6].id, PROMPTS[7].id
    loader.pool = PromptPool(
        (Template("Think."),), (0,), {hard: (0, 0, None, None), all_hinted: (0, 0, 0, 0)}
    )
    list(loader)
    problems = loader.problems
    assert problems.hinted_rates == {hard: 1.0, all_hinted: 1.0}
    assert (problems.bare[hard], problems.bare_rates[hard]) == ((1, 2), 0.5)
    assert (problems.bare[PROMPTS[0].id], problems.bare_rates[PROMPTS[0].id]) == ((1, 4), 0.25)
    assert all_hinted not in problems.bare
    # Above its target with a hint, as the bare rollouts do not count there.
    problems.memory[f"solution_share/{hard}"] = 0.5
    assert AdaptiveShare(step=0.25, target=0.75).shares([hard], problems) == {hard: 0.25}


def test_a_part_of_a_group_without_a_verdict_has_no_rate():
    pairs = [(PROMPTS[0], hint) for hint in ("Think.", "", "")]
    made = Judged().run(pairs, SamplingParameters(), 0)
    late = [replace(made[0], score=Score(0.0, Status.TIMEOUT)), *made[1:]]
    hinted, bare = _noted(late, [None] * 3)
    assert (hinted.hinted, hinted.success_rate, hinted.judged) == (True, None, 0)
    assert (bare.hinted, bare.success_rate, bare.judged) == (False, 0.5, 2)


def equal(one: Any, other: Any) -> bool:
    """Whether two states are the same, to the type and the last bit."""
    if isinstance(one, torch.Tensor):
        return one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(equal(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(equal, one, other))
    return type(one) is type(other) and one == other


@pytest.mark.parametrize("packer", PACKERS, ids=repr)
def test_the_batch_at_hand_is_in_a_checkpoint_of_plain_data(packer, tmp_path):
    loader = make_loader(FakeRunner({PROMPTS[2].id}), packer=packer, micro_batches=3)
    batch = next(iter(loader))
    assert batch is not None
    assert (batch.passes[0].tree is None) == (packer.longest == 0)
    state = loader.state_dict()
    torch.save(state, tmp_path / "state.ckpt")
    written = torch.load(tmp_path / "state.ckpt", weights_only=True)
    assert equal(written, state)
    resumed = make_loader(FakeRunner(), packer=packer, micro_batches=3)
    resumed.load_state_dict(written)
    assert equal(resumed.state_dict(), state)
    [first, *_] = resumed
    assert first is not None
    assert type(first.passes[0]) is type(batch.passes[0])
    assert samples_of(first) == samples_of(batch)
    assert equal(first.state_dict(), batch.state_dict())


@pytest.mark.parametrize("packer", PACKERS, ids=repr)
@pytest.mark.parametrize("rounds", [1, 5])
def test_a_resumed_epoch_delivers_exactly_what_was_left(rounds, packer):
    def fingerprint(batch: MiniBatch | None):
        return batch and (samples_of(batch), batch.streams["advantages"].tolist())

    dead = {prompt.id for prompt in PROMPTS[::3]} if rounds > 1 else ()
    first = make_loader(FakeRunner(dead), sampling_rounds=rounds, packer=packer)
    states, whole = [], []
    for batch in first:
        whole.append(fingerprint(batch))
        first.position = lambda: (0, len(whole))
        states.append(copy.deepcopy(first.state_dict()))
    for done in range(1, len(whole) + 1):
        # After the step, and in the middle of the one after, when that was broken off.
        for state in states[done - 1 : done + 1]:
            resumed = make_loader(
                FakeRunner(dead), position=(0, done), sampling_rounds=rounds, packer=packer
            )
            resumed.load_state_dict(state)
            assert [fingerprint(batch) for batch in resumed] == whole[done:]


def test_a_batch_is_sampled_only_when_the_one_before_is_used_up():
    events, runner = [], FakeRunner()
    stream = iter(make_loader(runner, events=events))
    next(stream)
    assert len(runner.calls) == 1
    next(stream)
    assert len(runner.calls) == 1
    next(stream)
    assert len(runner.calls) == 2
    assert events.index("refresh") == 0


def test_old_log_probs_are_taken_before_the_first_update_that_follows():
    events = []
    stream = iter(make_loader(FakeRunner(), events=events))
    next(stream)
    taken = events.count("score")
    next(stream)
    assert taken > 0
    assert events.count("score") == taken


def test_only_the_first_mini_batch_goes_without_old_log_probs():
    first, second, *_ = micro_batches(make_loader(FakeRunner()))
    assert not first.has("old_log_probs").any()
    assert second.has("old_log_probs").all()


def test_dead_groups_leave_the_rows_and_stay_in_the_denominator():
    dead = {prompt.id for prompt in PROMPTS[:5]}
    alive = micro_batches(make_loader(FakeRunner()))
    pruned = micro_batches(make_loader(FakeRunner(dead)))
    assert [b.total_tokens for b in pruned] == [b.total_tokens for b in alive]
    assert [b.total_sequences for b in pruned] == [b.total_sequences for b in alive]
    assert sum(map(count, pruned)) < sum(map(count, alive))
    for batch in pruned:
        assert all(map(all, per_sample(batch, batch.streams["advantages"])))


def test_a_step_without_any_live_group_is_no_step():
    loader = make_loader(FakeRunner({prompt.id for prompt in PROMPTS}), micro_batches=2)
    assert list(loader) == [None] * len(loader)


def test_observers_see_every_group_with_its_rewards():
    loader, seen = make_loader(FakeRunner()), []
    loader.observers.append(seen.extend)
    list(loader)
    assert sorted(group.sample_id for group in seen) == sorted(prompt.id for prompt in PROMPTS)
    assert all(len(group.rewards) == 4 for group in seen)


def test_each_rollout_of_a_hard_sample_gets_its_own_template():
    runner = FakeRunner()
    logged: list = []
    loader = make_loader(runner, logged=logged)
    hard = PROMPTS[6].id
    loader.pool = PromptPool(
        (Template("First."), Template("Second.")), (0, 1), {hard: (1, 0, None, 1)}
    )
    list(loader)
    used = {}
    for pairs, _ in runner.calls:
        for prompt, template in pairs:
            used.setdefault(prompt.id, []).append(template)
    assert used.pop(hard) == ["Second.", "First.", "", "Second."]
    assert all(templates == [""] * 4 for templates in used.values())
    assert len(logged) == len(runner.calls) == 3
    metrics = {name for row in logged for name in row}
    assert {"templated/reward", "templated/reward_spread", "templated/opening_contrast"} <= metrics


def test_what_goes_through_the_network_is_in_the_ledger():
    loader = make_loader(FakeRunner())
    list(loader)
    assert loader.ledger.state_dict()["scoring"]["scored_tokens"] > 0


def count(batch: MiniBatch) -> int:
    """Samples that go through the network."""
    return len(batch.sequences.unique())


def live(batches):
    """How many groups of four live rollouts went through the network."""
    return sum(count(batch) for batch in batches if batch is not None) / 4


@pytest.mark.slow
@given(dead=st.sets(st.integers(0, 9)), rounds=st.integers(2, 11), mini=st.integers(1, 4))
@example(dead={0, 1, 2, 3, 4, 5}, rounds=5, mini=1)
def test_dynamic_sampling_fills_batches_with_live_groups_in_one_pass(dead, rounds, mini):
    ids = {PROMPTS[index].id for index in dead}
    runner = FakeRunner(ids)
    loader = make_loader(runner, sampling_rounds=rounds, mini_batch=mini)
    seen: list = []
    loader.observers.append(seen.extend)
    batches = list(loader)
    assert len(batches) == len(loader)
    assert sorted(group.sample_id for group in seen) == sorted(prompt.id for prompt in PROMPTS)
    assert live(batches) == len(PROMPTS) - len(dead)
    working = [batch for batch in batches if batch is not None]
    assert all(batch.total_sequences <= 4 * mini for batch in working)
    # Every further round follows a dead group. Where there are fewer of them than rounds, only the
    # pass's end may leave a batch of four prompts unfilled.
    if rounds > len(dead) and working:
        assert len(working) == loader.sizes.mini_batches(len(PROMPTS) - len(dead))


def test_a_pass_without_any_contrast_is_idle_and_logs_that():
    logged: list = []
    dead = FakeRunner({prompt.id for prompt in PROMPTS})
    loader = make_loader(dead, sampling_rounds=3, logged=logged)
    batches = list(loader)
    assert len(batches) == len(loader)
    assert batches == [None] * len(batches)
    assert [row["groups/dead"] for row in logged] == [1.0]


def test_the_baseline_sees_every_group_before_it_is_asked_about_any():
    seen: list[str] = []

    class Watching(GroupMean):
        def observe(self, groups):
            seen.extend(group[0].prompt.id for group in groups)

        def advantages(self, groups, rewards, estimate):
            assert {group[0].prompt.id for group in groups} <= set(seen)
            return super().advantages(groups, rewards, estimate)

    dead = {prompt.id for prompt in PROMPTS[:5]}
    for rounds in (1, 3):
        seen.clear()
        loader = make_loader(FakeRunner(dead), sampling_rounds=rounds)
        loader.builder.credit.baseline = Watching()
        list(loader)
        assert sorted(seen) == sorted(prompt.id for prompt in PROMPTS)


def test_an_evaluation_gives_the_engine_the_weights_first():
    events: list[str] = []

    class Runner(FakeRunner):
        def run(self, pairs, sampling, seed, context=Context.TEMPLATED):
            events.append("run")
            return super().run(pairs, sampling, seed, context)

    runner: Any = Runner()
    loader = EvaluationLoader(
        PROMPTS,
        runner,
        SamplingParameters(),
        1,
        Ledger(),
        lambda: events.append("refresh"),
        lambda: 0,
        0,
    )
    list(loader)
    assert events == ["refresh", "run"]


@pytest.mark.parametrize(
    ("failing", "reward", "failed"),
    [(0, 0.5, 0.0), (1, 5 / 9, 0.1), (9, 1.0, 0.9), (10, None, 1.0)],
)
def test_a_failed_verdict_is_no_reward_of_0_in_an_evaluation(failing, reward, failed):
    class Failing(FakeRunner):
        def run(self, pairs, sampling, seed, context=Context.TEMPLATED):
            rollouts = super().run(pairs, sampling, seed, context)
            lost = {prompt.id for prompt in PROMPTS[:failing]}
            timeout = Score(0.0, Status.TIMEOUT)
            return [replace(r, score=timeout) if r.prompt.id in lost else r for r in rollouts]

    runner: Any = Failing()
    nothing = (Ledger(), lambda: None, lambda: 0, 0)
    [batch] = EvaluationLoader(PROMPTS, runner, SamplingParameters(), 1, *nothing)
    assert batch.failed == pytest.approx(failed)
    assert math.isnan(batch.reward) if reward is None else batch.reward == pytest.approx(reward)
    assert float(batch.accuracies.mean()) == pytest.approx((10 - failing + failing % 2) / 20)
    # Of the five that are wrong, those without a verdict are not known to be hard.
    assert int(batch.hard.sum()) == 5 - (failing + 1) // 2


@pytest.mark.parametrize(("high", "warned"), [(10.0, 0), (0.5, 1)])
def test_updates_that_only_unlearn_are_named_once(caplog, high, warned):
    class FailuresAlone(DistillationStrategy):
        """Has the mask act on successes alone."""

        needs_log_probs, solved, pushes_alone = True, False, True

        def token_advantages(self, advantage, solved, old_bare, old_templated):
            self.solved = solved
            return advantage

        def token_weights(self, old_bare, old_templated):
            masked = ContextDistillation(high=high).token_weights(old_bare, old_templated)
            return masked if self.solved else torch.ones_like(masked)

    # All ratios are 1.
    loader = make_loader(FakeRunner(), strategy=FailuresAlone())
    everywhere = {prompt.id: (0,) * 4 for prompt in PROMPTS}
    loader.pool = PromptPool((Template("Think."),), (0,), everywhere)
    list(loader)
    assert [record.levelname for record in caplog.records] == ["WARNING"] * warned
    assert caplog.text.count("keeps 0 % of what templated successes say") == warned


@pytest.mark.parametrize(
    ("dead", "epoch", "pointed"), [(10, 0, True), (9, 0, False), (10, 1, False)]
)
def test_a_first_epoch_without_any_reward_points_to_the_doctor(caplog, dead, epoch, pointed):
    runner = FakeRunner(dead=[prompt.id for prompt in PROMPTS[:dead]])
    loader = make_loader(runner, position=(epoch, 0))
    # As Lightning does, which does not ask for more.
    list(islice(loader, len(loader)))
    assert ("p2o-doctor with the same settings" in caplog.text) == pointed


def test_an_epoch_whose_beginning_was_not_seen_points_nowhere(caplog):
    runner = FakeRunner(dead=[prompt.id for prompt in PROMPTS])
    broken_off = make_loader(runner)
    next(iter(broken_off))
    resumed = make_loader(runner, position=(0, 2))
    resumed.load_state_dict(broken_off.state_dict())
    list(resumed)
    assert "p2o-doctor" not in caplog.text
