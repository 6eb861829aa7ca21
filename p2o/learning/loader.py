"""The training loader: prompts in, mini-batches of scored groups out."""

import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from p2o.accounting.ledger import Ledger
from p2o.errors import UserError
from p2o.hints.problems import ProblemOutcome, Problems
from p2o.learning.allocation import Allocation, Even
from p2o.learning.at_hand import BatchAtHand
from p2o.learning.experience import ExperienceBuilder
from p2o.learning.metrics import rollout_metrics, template_metrics, weight_metrics
from p2o.learning.minibatch import MiniBatch
from p2o.learning.rolled_out import Learned, RolledOut, RolloutObserver
from p2o.learning.sizes import BatchSizes
from p2o.learning.telltale import Telltale
from p2o.learning.trials import trial_of
from p2o.prompt import Context, Prompt
from p2o.rollout.engine import SamplingParameters
from p2o.rollout.runner import Rollout, RolloutRunner
from p2o.running.counted import counted
from p2o.running.preemption import stop_if_told
from p2o.running.seeds import derive_seed
from p2o_callbacks.hint import as_hint
from p2o_callbacks.pool import PromptPool
from p2o_callbacks.protocols import GroupObserver, GroupOutcome, TemplateTrial

Groups = list[list[Rollout]]


class RolloutLoader:
    """A sized iterable over one epoch; rolls out a batch of prompts whenever it runs dry.

    It has a length, so that Lightning does not fetch ahead: every batch is sampled with the
    weights of the update before it. Every rank sees all groups and keeps its share of the rows.

    An epoch is one pass over the prompts. With dynamic sampling that makes fewer optimiser steps
    than the length says. In place of the micro-batches of such a step, and of one without any
    gradient, stands None: Lightning then takes no step.

    Args:
        prompts: The training prompts.
        runner: Rolls out and verifies.
        builder: Makes micro-batches of groups.
        sizes: How prompts are grouped.
        sampling: How to draw tokens.
        ledger: Where to count what is put through the network.
        position: Tells the epoch, from which order and seeds follow, and the steps of it that a
            resumed run has behind it.
        refresh_engine: Called before every batch; gives the engine the current weights.
        log: Called once for every batch, with what to log of it.
        seed: Of the run.
        allocation: How many rollouts each prompt gets; as many for all when left out.
        telltale: Warns of what an epoch shows; one that knows no keys when left out.

    Attributes:
        pool: Says which hint each rollout has.
        problems: Is told how groups fared.
        rollout_seconds: What this rank has spent on sampling and judging.
    """

    def __init__(
        self,
        prompts: Sequence[Prompt],
        runner: RolloutRunner,
        builder: ExperienceBuilder,
        sizes: BatchSizes,
        sampling: SamplingParameters,
        ledger: Ledger,
        position: Callable[[], tuple[int, int]],
        refresh_engine: Callable[[], None],
        log: Callable[[Mapping[str, float]], None],
        seed: int,
        allocation: Allocation | None = None,
        telltale: Telltale | None = None,
    ) -> None:
        self.allocation = allocation or Even()
        self.prompts, self.runner, self.builder, self.sizes = prompts, runner, builder, sizes
        self.sampling, self.ledger, self.seed = sampling, ledger, seed
        self.position, self.refresh_engine, self._log = position, refresh_engine, log
        self.pool = PromptPool()
        self.problems = Problems(prompts)
        self.observers: list[GroupObserver] = []
        self.rollout_observers: list[RolloutObserver] = []
        self.rollout_seconds = 0.0
        self._at_hand = BatchAtHand()
        # Rollouts of the batch at hand that were to have a template and had no room for it.
        self._overflows = 0
        self._telltale = telltale or Telltale()

    def __len__(self) -> int:
        return self.sizes.mini_batches(len(self.prompts)) * self.sizes.micro_batches

    def __iter__(self) -> Iterator[MiniBatch | None]:
        epoch, done = self.position()
        self._begin(epoch)
        if self._at_hand.metrics and done == self._at_hand.start:
            # Stopped before the batch's first update, at whose step this stands.
            self._log(self._at_hand.metrics)
        order = list(self.prompts)
        random.Random(derive_seed(self.seed, "order", epoch)).shuffle(order)
        yield from self._hand_out(done)
        while self._at_hand.cursor < len(order):
            stop_if_told()
            sampled, groups, cursor = self._sample_batch(order, epoch)
            self.runner.engine.release()
            lesson = self._learn_from(sampled, groups)
            self._tell_of_rollouts(sampled, lesson.learned)
            self._at_hand = self._at_hand.followed_by(lesson.micro_batches, cursor, lesson.metrics)
            self._take_note(epoch, sampled, lesson.learned)
            # Lightning asks for no more than the length, so nothing runs behind the last batch.
            if cursor == len(order):
                self._telltale.end_epoch(epoch, self.runner, self.sampling.max_new_tokens)
            self._tell_of_outcomes(sampled)
            # From here on a checkpoint holds the batch.
            self.ledger.keep()
            yield from self._hand_out(self._at_hand.start)
        while self._at_hand.end < len(self):
            self._at_hand = self._at_hand.followed_by([None], len(order), {})
            yield from self._hand_out(self._at_hand.start)

    def _begin(self, epoch: int) -> None:
        """Start an epoch anew, or go on within the one that a checkpoint has broken off."""
        if self._at_hand.epoch != epoch:
            self._telltale.begin_epoch()
        self._at_hand = self._at_hand.of_epoch(epoch)

    def _sample_batch(self, order: Sequence[Prompt], epoch: int) -> tuple[Groups, Groups, int]:
        """All groups of a batch, those of them that are trained on, and the prompts behind it.

        What is broken off here is done again, so nothing is taken over before all is done.
        """
        cursor, sampled, groups = self._at_hand.cursor, [], []
        dynamic = self.sizes.sampling_rounds > 1
        for _ in range(self.sizes.sampling_rounds):
            prompts = order[cursor : cursor + self.sizes.batch - len(groups)]
            if not prompts:
                break
            fresh = self._roll_out(prompts, derive_seed(self.seed, "rollout", epoch, cursor))
            cursor += len(prompts)
            sampled += fresh
            groups += self.builder.with_contrast(fresh) if dynamic else fresh
        return sampled, groups, cursor

    def _tell_of_rollouts(
        self, sampled: Groups, learned: Mapping[tuple[int, int], Learned]
    ) -> None:
        rolled_out = RolledOut("training", sampled, self._at_hand.cursor, learned)
        for watch in self.rollout_observers:
            watch(rolled_out)

    def _take_note(
        self, epoch: int, sampled: Groups, learned: Mapping[tuple[int, int], Learned]
    ) -> None:
        if self.problems.evidence.lasts:
            tried = {group[0].prompt.id: _tried(group) for group in sampled}
            self.problems.evidence.note(epoch, tried)
        self.problems.note(
            [
                outcome
                for place, group in enumerate(sampled)
                for outcome in _noted(group, [learned.get((place, k)) for k in range(len(group))])
            ]
        )
        self._telltale.see(sampled)

    def _tell_of_outcomes(self, sampled: Groups) -> None:
        outcomes = [_outcome(group) for group in sampled]
        for observer in self.observers:
            observer(outcomes)

    def _hand_out(self, step: int) -> Iterator[MiniBatch | None]:
        for index, micro_batch in self._at_hand.from_step(step):
            if index % self.sizes.micro_batches == 0:
                stop_if_told()
            yield micro_batch

    def state_dict(self) -> dict[str, Any]:
        """What is left of the batch at hand, of all ranks: a resumed epoch goes on with it."""
        # From the last update on, which an exception may have broken off.
        size = self.sizes.micro_batches
        return self._at_hand.state_dict((self.position()[1] - 1) // size * size)

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over what `state_dict` wrote; only in the same epoch does it matter."""
        self._at_hand = BatchAtHand.from_state(state_dict)

    def _roll_out(self, prompts: Sequence[Prompt], seed: int) -> Groups:
        """Groups of rollouts, in the order of `prompts`."""
        sizes, began = self._group_sizes(prompts), time.monotonic()
        pairs = [
            (prompt, self.pool.hint_for(prompt.id, index))
            for prompt, size in zip(prompts, sizes, strict=True)
            for index in range(size)
        ]
        with self.ledger.phase("train"), counted("rollouts of one batch", len(pairs)):
            self.refresh_engine()
            context = self.builder.strategy.rollout_context
            if context == Context.BARE and any(as_hint(hint).prefix for _, hint in pairs):
                raise UserError(
                    "the distillation samples without hints, so no answer has a forced beginning; "
                    "take another one, or place=question"
                )
            rollouts = self.runner.run(pairs, self.sampling, seed, context)
        self.rollout_seconds += time.monotonic() - began
        self._overflows += sum(bool(rollout.crowded) for rollout in rollouts)
        remaining = iter(rollouts)
        groups = [list(islice(remaining, size)) for size in sizes]
        self.builder.credit.observe(groups)
        return groups

    def _group_sizes(self, prompts: Sequence[Prompt]) -> list[int]:
        """Rollouts of each prompt; those with hints have K, for which hints are dealt out."""
        size, tallies = self.sizes.group_size, self.problems.bare
        hinted = [prompt.id in self.pool.assignment for prompt in prompts]
        asked = [tallies.get(p.id) for p, has in zip(prompts, hinted, strict=True) if not has]
        allotted = iter(self.allocation.sizes(asked, size))
        return [size if has else next(allotted) for has in hinted]

    def _learn_from(self, sampled: Groups, groups: Groups) -> "_Lesson":
        """What `groups`, the live ones of `sampled`, are to be trained on; logs what all are."""
        metrics = rollout_metrics(sampled)
        metrics["rollout/template_overflows"] = float(self._overflows)
        if not isinstance(self.allocation, Even):
            lengths = [len(group) for group in sampled]
            metrics |= {"groups/smallest": min(lengths), "groups/largest": max(lengths)}
        self._overflows = 0
        micro_batches: list[MiniBatch | None] = [None] * self.sizes.micro_batches
        learned: dict[tuple[int, int], Learned] = {}
        if groups:
            experience = self.builder.build(groups)
            micro_batches = experience.micro_batches
            places = {id(group): place for place, group in enumerate(sampled)}
            learned = {
                (places[id(groups[g])], k): fact for (g, k), fact in experience.learned.items()
            }
            metrics |= template_metrics(groups, experience.advantages)
            if self.builder.strategy.told is not None:
                metrics["rollout/told"] = experience.told
            weights = weight_metrics(experience.templated)
            metrics |= weights
            self._telltale.see_weights(weights)
            self._telltale.see_told(experience.told, self.builder.strategy, weights)
        self._log(metrics)
        return _Lesson(micro_batches, metrics, learned)


@dataclass(frozen=True)
class _Lesson:
    """What a batch of rollouts gives to learn from.

    Attributes:
        micro_batches: This rank's.
        metrics: What is logged of it.
        learned: What is made of its rollouts, by their places among all that were sampled.
    """

    micro_batches: Sequence[MiniBatch | None]
    metrics: Mapping[str, float]
    learned: Mapping[tuple[int, int], Learned]


def _outcome(group: Sequence[Rollout]) -> GroupOutcome:
    return GroupOutcome(
        group[0].prompt.id,
        tuple(rollout.score.reward for rollout in group),
        tuple(rollout.score.solved for rollout in group),
    )


def _tried(group: Sequence[Rollout]) -> list[tuple[str, TemplateTrial]]:
    """How each rollout fared with the hint that it was sampled with.

    One without room for its hint counts for the bare prompt, and against the hint.
    """
    made = [(r.hint if r.templated else "", trial_of(replace(r, crowded=""))) for r in group]
    return made + [(r.crowded, trial_of(r)) for r in group if r.crowded]


def _noted(group: Sequence[Rollout], learned: Sequence[Learned | None]) -> Iterator[ProblemOutcome]:
    """How the rollouts with a hint fared, then those without, where there are some."""
    pairs = list(zip(group, learned, strict=True))
    for hinted in (True, False):
        own = [(rollout, fact) for rollout, fact in pairs if rollout.templated == hinted]
        if own:
            yield _noted_alike(own, hinted)


def _noted_alike(own: Sequence[tuple[Rollout, Learned | None]], hinted: bool) -> ProblemOutcome:
    judged = [rollout for rollout, _ in own if not rollout.score.failed]
    solved = [rollout for rollout in judged if rollout.score.solved]
    return ProblemOutcome(
        own[0][0].prompt.id,
        len(solved) / len(judged) if judged else None,
        hinted,
        solved[-1].response if solved else None,
        tuple(
            (rollout.hint, fact.reliance)
            for rollout, fact in own
            if hinted and rollout.score.solved
            if fact is not None and fact.reliance is not None
        ),
        len(judged),
    )
