"""From scored groups to the micro-batches of their optimiser steps."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from p2o.accounting.ledger import Ledger
from p2o.distillation.strategy import DistillationStrategy
from p2o.learning.credit import CreditAssignment, ragged
from p2o.learning.minibatch import MiniBatch, collate
from p2o.learning.pushing import Place, silenced, without_pull
from p2o.learning.rolled_out import LONGEST, Learned
from p2o.learning.samples import ScorePasses, Scorer, sample_of, sampled_log_probs
from p2o.learning.sizes import BatchSizes
from p2o.objectives.kl import KLPenalty, kl_estimate
from p2o.policy.packing import Packer, nothing, split_evenly
from p2o.prompt import Context
from p2o.rollout.runner import Rollout
from p2o.running.distributed import gather, gather_shards, rank, world_size
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
    """

    micro_batches: list[MiniBatch | None]
    advantages: Tensor
    templated: dict[tuple[bool, str], float] = field(default_factory=lambda: defaultdict(float))
    learned: dict[tuple[int, int], Learned] = field(default_factory=dict)


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
    ) -> None:
        self._updates = updates
        self.sizes, self.credit, self.strategy = sizes, credit, strategy
        self.kl, self.entropy_bonus, self.packer = kl, entropy_bonus, packer
        self._score = Scorer(packer, score, ledger)
        self._score_reference = score_reference and Scorer(packer, score_reference, ledger)

    def with_contrast(self, groups: Groups) -> list[Sequence[Rollout]]:
        """Those of `groups` whose verdicts give the policy loss a gradient."""
        return [
            group
            for group, row in zip(groups, self.credit.verdicts(groups).tolist(), strict=True)
            if any(
                self.credit.counts(rollout) and self._teaches(rollout, advantage)
                for rollout, advantage in zip(group, row, strict=False)
            )
        ]

    def build(self, groups: Groups) -> Experience:
        """What groups that were rolled out together give to learn from.

        Old log-probabilities of every micro-batch are computed before the first is handed out,
        because the update that follows changes the weights.
        """
        experience = Experience([], self.credit.assign(groups, self._penalties(groups)))
        for start in range(0, len(groups), self.sizes.mini_batch):
            experience.micro_batches += self._mini_batch(groups, start, experience)
        experience.templated = _summed(gather(experience.templated))
        return experience

    def _mini_batch(
        self, groups: Groups, start: int, experience: Experience
    ) -> Sequence[MiniBatch | None]:
        """Of the optimiser step whose first group is at `start`; adds to what is known of them."""
        part = slice(start, start + self.sizes.mini_batch)
        rows = experience.advantages[part].tolist()
        places = {
            (g, k): (rollout, advantage)
            for g, (group, row) in enumerate(zip(groups[part], rows, strict=True), start)
            for k, (rollout, advantage) in enumerate(zip(group, row, strict=False))
            if self.credit.counts(rollout)
        }
        counted = list(places.values())
        kept_places = [place for place, pair in places.items() if self._needs_network(*pair)]
        kept = [places[place] for place in kept_places]
        shares = split_evenly(
            [sample_of(rollout, Context.BARE) for rollout, _ in kept], world_size()
        )
        measured: list[Learned] = []
        mine = [kept[index] for index in shares[rank()]]
        samples = self._samples(mine, start == 0, experience.templated, measured)
        experience.learned |= {place: Learned(pair[1]) for place, pair in places.items()}
        for share, facts in zip(shares, gather(measured), strict=True):
            experience.learned |= {
                kept_places[index]: fact for index, fact in zip(share, facts, strict=True)
            }
        tokens = sum(len(rollout.completion.sampled_ids) for rollout, _ in counted)
        if not self.strategy.masked_in_denominator:
            learned = sum(sample.learned for sample in samples)
            before = sum(len(kept[index][0].completion.sampled_ids) for index in shares[rank()])
            tokens -= sum(gather(before - learned))
        dropped: set[Place] = set()
        if not self.strategy.pushes_alone:
            dropped = without_pull(places, experience.learned)
        alike = self.credit.without_contrast(groups[part])
        own = [kept_places[index] for index in shares[rank()]]
        for index, (place, (rollout, advantage)) in enumerate(zip(own, mine, strict=True)):
            if place in dropped:
                samples[index] = silenced(samples[index], rollout, experience.templated)
            if advantage and alike[place[0] - start] and not rollout.template:
                samples[index] = samples[index].with_streams(without_contrast=1.0)
        samples = [sample for sample in samples if self._has_gradient(sample)]
        names = {name for sample in samples for name in sample.streams}
        names = set().union(*gather(names))
        if not names:
            return [None] * self.sizes.micro_batches
        # What is measured in some updates is not a number in others.
        names.add("sampled_log_probs")
        if self._score_reference is not None:
            names.add("reference_log_probs")
        micro_batches = [
            collate(
                [samples[index] for index in share],
                self.packer(),
                sorted(names),
                total_tokens=max(tokens, 1),
                total_sequences=max(len(counted), 1),
            )
            for share in split_evenly(samples, self.sizes.micro_batches)
        ]
        _go_in_step(micro_batches)
        return micro_batches

    def _teaches(self, rollout: Rollout, advantage: float) -> bool:
        """Whether the policy loss has a gradient for a response, token weights aside."""
        if not rollout.template:
            return advantage != 0
        return self.strategy.carries_gradient(advantage, bool(rollout.score.solved))

    def _needs_network(self, rollout: Rollout, advantage: float) -> bool:
        if self.entropy_bonus or self._teaches(rollout, advantage):
            return True
        if self.kl.in_loss and self._sampled_after_gradient_context(rollout):
            return True
        # Which tokens leave the denominator is known only of responses that are scored.
        return bool(rollout.template) and not self.strategy.masked_in_denominator

    def _has_gradient(self, sample: Sample) -> bool:
        """Whether any term of the loss has a gradient for a sample, its token weights known."""
        in_divergence = self.kl.in_loss and "reference_log_probs" in sample.streams
        weights = sample.streams.get("token_weights", torch.ones(()))
        in_loss = bool((sample.streams["advantages"] * weights).any())
        return bool(sample.learned) and (self.entropy_bonus or in_divergence or in_loss)

    def _sampled_after_gradient_context(self, rollout: Rollout) -> bool:
        """Whether the response is a sample of the policy in the context that is trained.

        Tokens of another context tell nothing of a divergence in this one. A hint that only begins
        the answer leaves the context as it is.
        """
        same = rollout.bare_ids == rollout.templated_ids
        return same or rollout.sampled_after == self.strategy.gradient_context

    def _samples(
        self,
        kept: Sequence[tuple[Rollout, float]],
        on_policy: bool,
        templated_sums: dict[tuple[bool, str], float],
        measured: list[Learned],
    ) -> list[Sample]:
        """Apply the distillation strategy, after one call for all log-probabilities it needs.

        Adds to `templated_sums`, and what was made of each rollout to `measured`.
        """
        strategy, rollouts = self.strategy, [rollout for rollout, _ in kept]
        wanted = [
            (index, context)
            for index, rollout in enumerate(rollouts)
            for context in self._contexts_to_score(rollout, on_policy)
        ]
        log_probs = self._score([(rollouts[i], context) for i, context in wanted])
        scored = dict(zip(wanted, log_probs, strict=True))
        references = self._references(rollouts)
        samples = []
        for index, (rollout, advantage) in enumerate(kept):
            old, weights = self._old_context(rollout), None
            token_advantages: Tensor | float = advantage
            sampled = sampled_log_probs(rollout)
            # A beginning that is learned was not drawn, so that the engine says nothing of it.
            drawn = not sampled.isnan().any()
            own, engine = scored.get((index, rollout.sampled_after)), None
            engine_kl = _mean(sampled - own) if drawn and own is not None else None
            learned = Learned(advantage, engine_kl, weight=1.0)
            if rollout.template:
                solved = bool(rollout.score.solved)
                bare = scored.get((index, Context.BARE), torch.empty(0))
                templated = scored.get((index, Context.TEMPLATED), torch.empty(0))
                token_advantages = strategy.token_advantages(advantage, solved, bare, templated)
                if strategy.needs_log_probs:
                    weights = strategy.token_weights(bare, templated)
                    both = {Context.BARE: bare, Context.TEMPLATED: templated}
                    engine = both[rollout.sampled_after] - sampled if drawn else None
                    learned = replace(
                        learned,
                        kept=_mean((weights != 0).float()),
                        reliance=_mean(templated - bare),
                        weight=_mean(weights),
                        log_ratios=bare[:LONGEST] - templated[:LONGEST] if solved else None,
                    )
                    templated_sums[solved, "scored"] += len(bare)
                    templated_sums[solved, "reliance"] += (templated - bare).sum().item()
                    templated_sums[solved, "zero"] += int((weights == 0).sum())
                reaching = torch.as_tensor(token_advantages).expand(len(sampled))
                reaching = reaching * (1.0 if weights is None else weights)
                templated_sums[solved, "all"] += len(reaching)
                templated_sums[solved, "pull"] += reaching.clamp(min=0).sum().item()
                templated_sums[solved, "push"] += -reaching.clamp(max=0).sum().item()
            measured.append(learned)
            sample = sample_of(rollout, self._gradient_context(rollout)).with_streams(
                advantages=token_advantages,
                old_log_probs=None if old is None else scored.get((index, old)),
                sampled_log_probs=sampled
                if drawn and self._sampled_after_gradient_context(rollout)
                else None,
                engine_log_ratio=engine,
                token_weights=weights,
                policy_version=self._updates(),
                reference_log_probs=references.get(index),
            )
            if weights is not None and not strategy.masked_in_denominator:
                sample = sample.keep(weights != 0)
            samples.append(sample)
        return samples

    def _gradient_context(self, rollout: Rollout) -> Context:
        return self.strategy.gradient_context if rollout.template else Context.BARE

    def _old_context(self, rollout: Rollout) -> Context | None:
        return self.strategy.old_context if rollout.template else Context.BARE

    def _contexts_to_score(self, rollout: Rollout, on_policy: bool) -> list[Context]:
        if rollout.template and self.strategy.needs_log_probs:
            return [Context.BARE, Context.TEMPLATED]
        old = self._old_context(rollout)
        if old is None or (on_policy and old == self._gradient_context(rollout)):
            return []
        return [old]

    def _references(self, rollouts: Sequence[Rollout]) -> Mapping[int, Tensor]:
        """Log-probabilities of the reference policy, by index, where they measure a divergence."""
        if self._score_reference is None:
            return {}
        measured = [i for i, r in enumerate(rollouts) if self._sampled_after_gradient_context(r)]
        contexts = [(rollouts[i], self._gradient_context(rollouts[i])) for i in measured]
        log_probs = self._score_reference(contexts)
        return dict(zip(measured, log_probs, strict=True))

    def _penalties(self, groups: Groups) -> Tensor | float:
        """What the divergence from the reference policy takes from each reward, `[G, K]`.

        Nothing in a group of which a part cannot be measured: those that pay would be worse than
        others that fail.
        """
        if not self.kl.in_reward or self._score_reference is None:
            return 0.0
        everything = [rollout for group in groups for rollout in group]
        measured = [
            all(map(self._sampled_after_gradient_context, group)) for group in groups for _ in group
        ]
        places = [index for index, whole in enumerate(measured) if whole]
        mine = [
            (everything[index], self._gradient_context(everything[index]))
            for index in places[rank() :: world_size()]
        ]
        sums = [
            kl_estimate(policy, reference, self.kl.estimator).sum().item()
            for policy, reference in zip(
                self._score(mine),
                self._score_reference(mine),
                strict=True,
            )
        ]
        penalties = torch.zeros(len(everything))
        penalties[places] = self.kl.coefficient * torch.tensor(gather_shards(sums))
        return ragged(penalties.split([len(group) for group in groups]))


def _mean(values: Tensor) -> float | None:
    """Of `[T]`; None where there is no token."""
    return float(values.mean()) if len(values) else None


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
