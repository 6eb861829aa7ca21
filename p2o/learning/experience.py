"""From scored groups to the micro-batches of their optimiser steps."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean
from typing import Any

import torch
from torch import Tensor

from p2o.accounting.ledger import Ledger
from p2o.distillation.strategy import DistillationStrategy
from p2o.learning.credit import CreditAssignment
from p2o.learning.divergence import Divergence
from p2o.learning.minibatch import MiniBatch, collate
from p2o.learning.pushing import Place, silenced, without_pull
from p2o.learning.rolled_out import Learned
from p2o.learning.samples import ScoreMost, ScorePasses, Scorer, sample_of
from p2o.learning.scored import STREAMS, Choices, Contexts, Scored, Stream
from p2o.learning.sizes import BatchSizes
from p2o.objectives.kl import KLPenalty
from p2o.policy.packing import Packer, nothing
from p2o.prompt import Context
from p2o.rollout.runner import Rollout
from p2o.running.distributed import gather, rank, world_size
from p2o.sample import Sample

Groups = Sequence[Sequence[Rollout]]


@dataclass
class Experience:
    """What groups that were rolled out together give to learn from.

    Attributes:
        micro_batches: Those of all their optimiser steps, in order. None stands for a micro-batch
            of a step without any gradient: nothing happens in it, on any rank.
        advantages: `[G, K]`, 0 in place of rollouts that a smaller group does not have.
        templated: Sums over tokens of templated rollouts, by verdict and name, of all ranks; see
            `p2o.learning.metrics.weight_metrics`.
        learned: What was made of the rollouts that count, by their place `(g, k)`.
        told: Share of the rollouts that the strategy tells something when they are graded.
    """

    micro_batches: list[MiniBatch | None]
    advantages: Tensor
    templated: dict[tuple[bool, str], float] = field(default_factory=lambda: defaultdict(float))
    learned: dict[Place, Learned] = field(default_factory=dict)
    told: float = 0.0

    def add(self, advantages: Mapping[Place, float], scored: Mapping[Place, Scored]) -> None:
        """Take note of what is made of rollouts; collective.

        Args:
            advantages: Of all that count.
            scored: Those that this rank puts through the network.
        """
        for sums in (each.sums() for each in scored.values()):
            for key, value in sums.items():
                self.templated[key] += value
        self.learned |= {place: Learned(advantage) for place, advantage in advantages.items()}
        for facts in gather({place: each.learned() for place, each in scored.items()}):
            self.learned |= facts


class ExperienceBuilder:
    """Makes what the network is trained on.

    Only what carries gradient is put through the network; the rest stays in the denominators.

    Args:
        sizes: How prompts are grouped.
        credit: Rewards to advantages.
        strategy: What to do with rollouts that have a template.
        packer: How samples become rows; asked when there are some, as the policy is ready then.
        score: The trainer's forward pass with the weights the rollouts were sampled with.
        score_reference: The same for the reference policy; None without one.
        kl: What its divergence costs.
        entropy_bonus: Whether the loss rewards entropy.
        ledger: Where to count what is scored.
        updates: Tells how many the policy has behind it.
        tell: Gives rollouts what the strategy tells, see `p2o.learning.telling`; None for nothing.
        score_teacher: `score` for the policy that grades behind templates and what is told, where
            that is another one; None where the policy grades itself.
        score_most: The trainer's forward pass that tells the most probable tokens, for a strategy
            with `choices`.
        streams: What samples carry.
    """

    def __init__(
        self,
        sizes: BatchSizes,
        credit: CreditAssignment,
        strategy: DistillationStrategy,
        packer: Callable[[], Packer],
        score: ScorePasses,
        score_reference: ScorePasses | None,
        kl: KLPenalty,
        entropy_bonus: bool,
        ledger: Ledger,
        updates: Callable[[], int] = lambda: 0,
        tell: Callable[[Groups], Groups] | None = None,
        score_teacher: ScorePasses | None = None,
        score_most: ScoreMost | None = None,
        streams: Mapping[str, Stream] = STREAMS,
    ) -> None:
        self._score_most = score_most
        self._updates, self._tell = updates, tell or (lambda groups: groups)
        self.sizes, self.credit, self.streams = sizes, credit, streams
        self.strategy, self.contexts = strategy, Contexts(strategy)
        self.kl, self.entropy_bonus, self.packer = kl, entropy_bonus, packer
        self._score = Scorer(packer, score, ledger)
        reference = score_reference and Scorer(packer, score_reference, ledger)
        self.divergence = Divergence(kl, self.contexts, self._score, reference)
        self._always = ["sampled_log_probs", *["reference_log_probs"] * (reference is not None)]
        self._score_teacher = score_teacher and Scorer(packer, score_teacher, ledger)

    def with_contrast(self, groups: Groups) -> list[Sequence[Rollout]]:
        """Those of `groups` whose verdicts give the policy loss a gradient."""
        return [
            group
            for group, told, row in zip(
                groups, self._tell(groups), self.credit.verdicts(groups).tolist(), strict=True
            )
            if any(
                self.credit.counts(rollout) and self._teaches(rollout, advantage)
                for rollout, advantage in zip(told, row, strict=False)
            )
        ]

    def build(self, groups: Groups) -> Experience:
        """What groups that were rolled out together give to learn from.

        Old log-probabilities of every micro-batch are computed before the first is handed out,
        because the update that follows changes the weights.
        """
        experience = Experience([], self.credit.assign(groups, self.divergence.penalties(groups)))
        groups = self._tell(groups)
        experience.told = fmean(bool(rollout.told) for group in groups for rollout in group)
        for start in range(0, len(groups), self.sizes.mini_batch):
            experience.micro_batches += self._mini_batch(groups, start, experience)
        experience.templated = _summed(gather(experience.templated))
        return experience

    def _mini_batch(
        self, groups: Groups, start: int, experience: Experience
    ) -> Sequence[MiniBatch | None]:
        """Of the optimiser step whose first group is at `start`; adds to what is known of them."""
        counted = self._counted(groups, start, experience.advantages)
        scored = self._scored(groups, self._my_share(counted), on_policy=start == 0)
        samples = {place: each.sample(self.streams) for place, each in scored.items()}
        experience.add({place: advantage for place, (_, advantage) in counted.items()}, scored)
        if not self.strategy.pushes_alone:
            left_out = self._successes_left_out(groups, start, experience.advantages)
            silent = without_pull(counted, experience.learned, left_out)
            for place in silent:
                experience.learned[place] = replace(experience.learned[place], weight=0.0)
            for place in silent & samples.keys():
                rollout = scored[place].rollout
                counted_still = self.strategy.masked_in_denominator
                samples[place] = silenced(
                    samples[place], rollout, experience.templated, counted_still
                )
        tokens = sum(len(rollout.completion.sampled_ids) for rollout, _ in counted.values())
        masked = {
            place: len(scored[place].sampled) - sample.places for place, sample in samples.items()
        }
        emptied = sum(masked[place] > 0 and not samples[place].places for place in samples)
        parts = gather((sum(masked.values()), emptied))
        tokens -= sum(part for part, _ in parts)
        sequences = len(counted) - sum(part for _, part in parts)
        with_gradient = [sample for sample in samples.values() if self._has_gradient(sample)]
        return self._micro_batches(with_gradient, tokens, sequences)

    def _counted(
        self, groups: Groups, start: int, advantages: Tensor
    ) -> dict[Place, tuple[Rollout, float]]:
        """Rollouts of an optimiser step that are a part of its loss, with their advantages."""
        part = slice(start, start + self.sizes.mini_batch)
        rows = zip(groups[part], advantages[part].tolist(), strict=True)
        return {
            (g, k): (rollout, advantage)
            for g, (group, row) in enumerate(rows, start)
            for k, (rollout, advantage) in enumerate(zip(group, row, strict=False))
            if self.credit.counts(rollout)
        }

    def _successes_left_out(self, groups: Groups, start: int, advantages: Tensor) -> set[int]:
        """Groups of an optimiser step with a templated success that is no part of its loss."""
        step = range(start, min(start + self.sizes.mini_batch, len(groups)))
        return {
            g
            for g in step
            for rollout, advantage in zip(groups[g], advantages[g].tolist(), strict=False)
            if advantage > 0 and rollout.distilled and not self.credit.counts(rollout)
        }

    def _my_share(
        self, counted: Mapping[Place, tuple[Rollout, float]]
    ) -> dict[Place, tuple[Rollout, float]]:
        """Of those that go through the network the ones that this rank puts through it."""
        kept = [place for place, pair in counted.items() if self._needs_network(*pair)]
        samples = [sample_of(counted[place][0], Context.BARE) for place in kept]
        mine = self.packer().split_evenly(samples, world_size())[rank()]
        return {kept[index]: counted[kept[index]] for index in mine}

    def _scored(
        self, groups: Groups, mine: Mapping[Place, tuple[Rollout, float]], on_policy: bool
    ) -> dict[Place, Scored]:
        """This rank's rollouts, after one call for all log-probabilities that are needed."""
        contexts = Contexts(self.strategy.after(self._updates()))
        wanted = [
            (place, context)
            for place, (rollout, _) in mine.items()
            for context in contexts.to_score(rollout, on_policy)
        ]
        scores: dict[Place, dict[Context, Tensor]] = {place: {} for place in mine}
        for scorer, part in self._by_scorer(wanted):
            log_probs = scorer([(mine[place][0], context) for place, context in part])
            for (place, context), values in zip(part, log_probs, strict=True):
                scores[place][context] = values
        rollouts = {place: rollout for place, (rollout, _) in mine.items()}
        references = self.divergence.references(rollouts)
        choices = self._choices(rollouts)
        by_entropy = self.credit.by_entropy(groups)
        return {
            place: Scored(
                rollout,
                advantage,
                contexts,
                scores[place],
                references.get(place),
                self._updates(),
                by_entropy[place[0]],
                choices.get(place),
            )
            for place, (rollout, advantage) in mine.items()
        }

    def _choices(self, rollouts: Mapping[Place, Rollout]) -> dict[Place, Choices]:
        """What rollouts with a template are graded over, where a strategy grades over choices."""
        most = self.strategy.choices
        if most is None:
            return {}
        if self._score_most is None:
            raise ValueError("score_most: this strategy grades over choices, give what finds them")
        graded = {place: rollout for place, rollout in rollouts.items() if rollout.distilled}
        found = self._score.most_probable(
            [(rollout, Context.BARE) for rollout in graded.values()], most, self._score_most
        )
        grade = self._score_teacher or self._score
        grades = grade(
            [(rollout, Context.TEMPLATED) for rollout in graded.values()],
            [tokens for _, tokens in found],
        )
        return {
            place: Choices(tokens, bare, values.view_as(bare))
            for place, (bare, tokens), values in zip(graded, found, grades, strict=True)
        }

    def _by_scorer(
        self, wanted: Sequence[tuple[Place, Context]]
    ) -> Iterator[tuple[Scorer, list[tuple[Place, Context]]]]:
        """Which scorer scores which pairs: a separate teacher those behind a template."""
        if self._score_teacher is None:
            yield self._score, list(wanted)
            return
        for scorer, graded in ((self._score, False), (self._score_teacher, True)):
            yield scorer, [each for each in wanted if (each[1] == Context.TEMPLATED) == graded]

    def _micro_batches(
        self, samples: Sequence[Sample], tokens: int, sequences: int
    ) -> Sequence[MiniBatch | None]:
        """Of one optimiser step.

        Args:
            samples: Of this rank, those with a gradient.
            tokens: In the loss's denominator, of all ranks.
            sequences: Likewise.
        """
        names = {name for sample in samples for name in sample.streams}
        names = set().union(*gather(names))
        if not names:
            return [None] * self.sizes.micro_batches
        # What is measured in some updates is not a number in others.
        names.update(self._always)
        packer = self.packer()
        micro_batches = [
            collate(
                [samples[index] for index in share],
                packer,
                sorted(names),
                total_tokens=max(tokens, 1),
                total_sequences=max(sequences, 1),
            )
            for share in packer.split_evenly(samples, self.sizes.micro_batches)
        ]
        _go_in_step(micro_batches)
        return micro_batches

    def _teaches(self, rollout: Rollout, advantage: float) -> bool:
        """Whether the policy loss has a gradient for a response, token weights aside."""
        if not rollout.distilled:
            return advantage != 0 and self.strategy.rewards_alone
        return self.strategy.carries_gradient(advantage, bool(rollout.score.solved))

    def _needs_network(self, rollout: Rollout, advantage: float) -> bool:
        if self.entropy_bonus or self._teaches(rollout, advantage):
            return True
        if self.kl.in_loss and self.contexts.sampled_after_gradient(rollout):
            return True
        # Which tokens leave the denominator is known only of responses that are scored.
        return rollout.distilled and not self.strategy.masked_in_denominator

    def _has_gradient(self, sample: Sample) -> bool:
        """Whether any term of the loss has a gradient for a sample, its token weights known."""
        in_divergence = self.kl.in_loss and "reference_log_probs" in sample.streams
        weights = sample.streams.get("token_weights", torch.ones(()))
        in_loss = bool((sample.streams["advantages"] * weights).any())
        return bool(sample.learned) and (self.entropy_bonus or in_divergence or in_loss)


def _summed(parts: Sequence[Mapping[Any, float]]) -> dict[Any, float]:
    """Sums by key."""
    total: defaultdict[Any, float] = defaultdict(float)
    for part in parts:
        for key, value in part.items():
            total[key] += value
    return total


def _go_in_step(micro_batches: Sequence[MiniBatch]) -> None:
    """Let every rank go through the network equally often, at least once in every step."""
    everyones = gather([len(batch.passes) for batch in micro_batches])
    for batch, sizes in zip(micro_batches, zip(*everyones, strict=True), strict=True):
        batch.passes += [nothing() for _ in range(max(1, *sizes) - len(batch.passes))]
