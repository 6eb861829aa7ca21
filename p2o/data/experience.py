"""From scored groups to the micro-batches of their optimiser steps."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from p2o.data.credit import CreditAssignment
from p2o.data.minibatch import MiniBatch, Row, collate
from p2o.data.prompt import Context
from p2o.data.sizes import BatchSizes
from p2o.distillation.strategy import DistillationStrategy
from p2o.distributed import gather, gather_shards, maximum, rank, world_size
from p2o.ledger import Ledger
from p2o.objectives.kl import KLPenalty, kl_estimate
from p2o.rollout.runner import Rollout

ScoreResponses = Callable[[Sequence[tuple[tuple[int, ...], tuple[int, ...]]]], list[Tensor]]
"""Log-probabilities `[T]` of each response after its context, by the trainer's own forward."""

Groups = Sequence[Sequence[Rollout]]


@dataclass
class Experience:
    """What groups that were rolled out together give to learn from.

    Attributes:
        micro_batches: Those of all their optimiser steps, in order. None stands for a micro-batch
            of a step without any gradient: nothing happens in it, on any rank.
        advantages: `[G, K]`.
        weight_zero: By verdict of a templated rollout, tokens that its weights drop and tokens in
            all, of all ranks.
    """

    micro_batches: list[MiniBatch | None]
    advantages: Tensor
    weight_zero: Counter[tuple[bool, str]] = field(default_factory=Counter)


class ExperienceBuilder:
    """Makes what the network is trained on.

    Only what carries gradient is put through the network; the rest stays in the denominators.

    Args:
        sizes: How prompts are grouped.
        credit: Rewards to advantages.
        strategy: What to do with rollouts that have a template.
        score: The trainer's forward pass with the weights the rollouts were sampled with.
        score_reference: The same for the reference policy; None without one.
        kl: What its divergence costs.
        entropy_bonus: Whether the loss rewards entropy.
        ledger: Where to count what is scored.
    """

    def __init__(
        self,
        sizes: BatchSizes,
        credit: CreditAssignment,
        strategy: DistillationStrategy,
        score: ScoreResponses,
        score_reference: ScoreResponses | None,
        kl: KLPenalty,
        entropy_bonus: bool,
        ledger: Ledger,
    ) -> None:
        self.sizes, self.credit, self.strategy, self.ledger = sizes, credit, strategy, ledger
        self.kl, self.entropy_bonus = kl, entropy_bonus
        self._score, self._score_reference = score, score_reference

    def with_contrast(self, groups: Groups) -> list[Sequence[Rollout]]:
        """Those of `groups` whose verdicts give the policy loss a gradient."""
        return [
            group
            for group, row in zip(groups, self.credit.verdicts(groups).tolist(), strict=True)
            if any(
                self.credit.counts(rollout) and self._teaches(rollout, advantage)
                for rollout, advantage in zip(group, row, strict=True)
            )
        ]

    def build(self, groups: Groups) -> Experience:
        """What groups that were rolled out together give to learn from.

        Old log-probabilities of every micro-batch are computed before the first is handed out,
        because the update that follows changes the weights.
        """
        experience = Experience([], self.credit.assign(groups, self._penalties(groups)))
        for start in range(0, len(groups), self.sizes.mini_batch):
            part = slice(start, start + self.sizes.mini_batch)
            advantages = experience.advantages[part]
            experience.micro_batches += self._mini_batch(
                groups[part], advantages, start == 0, experience.weight_zero
            )
        experience.weight_zero = sum(gather(experience.weight_zero), Counter())
        return experience

    def _mini_batch(
        self,
        groups: Groups,
        advantages: Tensor,
        on_policy: bool,
        weight_zero: Counter[tuple[bool, str]],
    ) -> Sequence[MiniBatch | None]:
        counted = [
            (rollout, advantage)
            for group, row in zip(groups, advantages.tolist(), strict=True)
            for rollout, advantage in zip(group, row, strict=True)
            if self.credit.counts(rollout)
        ]
        kept = [pair for pair in counted if self._needs_network(*pair)]
        kept.sort(key=lambda pair: len(pair[0].bare_ids) + len(pair[0].completion.token_ids))
        rows = self._rows(kept[rank() :: world_size()], on_policy, weight_zero)
        tokens = sum(len(rollout.completion.token_ids) for rollout, _ in counted)
        if not self.strategy.masked_in_denominator:
            masked = sum(int((~row.counts).sum()) for row in rows if row.counts is not None)
            tokens -= sum(gather(masked))
        rows = [row for row in rows if self._has_gradient(row)]
        if not maximum(len(rows)):
            return [None] * self.sizes.micro_batches
        shares = torch.arange(len(rows)).tensor_split(self.sizes.micro_batches)
        return [
            collate(
                [rows[index] for index in share.tolist()] or [self._filler(groups)],
                total_tokens=max(tokens, 1),
                total_sequences=max(len(counted), 1),
                with_reference=self._score_reference is not None,
            )
            for share in shares
        ]

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

    def _has_gradient(self, row: Row) -> bool:
        """Whether any term of the loss has a gradient for a row, its token weights known."""
        in_divergence = self.kl.in_loss and row.reference_log_probs is not None
        return self.entropy_bonus or in_divergence or row.has_policy_gradient

    def _sampled_after_gradient_context(self, rollout: Rollout) -> bool:
        """Whether the response is a sample of the policy in the context that is trained.

        Tokens of another context tell nothing of a divergence in this one.
        """
        return not rollout.template or rollout.sampled_after == self.strategy.gradient_context

    def _rows(
        self,
        kept: Sequence[tuple[Rollout, float]],
        on_policy: bool,
        weight_zero: Counter[tuple[bool, str]],
    ) -> list[Row]:
        """Apply the distillation strategy, after one call for all log-probabilities it needs."""
        strategy, rollouts = self.strategy, [rollout for rollout, _ in kept]
        wanted = [
            (index, context)
            for index, rollout in enumerate(rollouts)
            for context in self._contexts_to_score(rollout, on_policy)
        ]
        log_probs = self._scored(self._score, [(rollouts[i], context) for i, context in wanted])
        scored = dict(zip(wanted, log_probs, strict=True))
        references = self._references(rollouts)
        rows = []
        for index, (rollout, advantage) in enumerate(kept):
            old, weights, counts = self._old_context(rollout), None, None
            token_advantages: Tensor | float = advantage
            if rollout.template:
                solved = bool(rollout.score.solved)
                bare = scored.get((index, Context.BARE), torch.empty(0))
                templated = scored.get((index, Context.TEMPLATED), torch.empty(0))
                if strategy.needs_log_probs:
                    weights = strategy.token_weights(bare, templated)
                    weight_zero[solved, "zero"] += int((weights == 0).sum())
                    weight_zero[solved, "all"] += len(weights)
                token_advantages = strategy.token_advantages(advantage, solved, bare, templated)
                if weights is not None and not strategy.masked_in_denominator:
                    counts = weights != 0
            rows.append(
                Row(
                    context_ids=rollout.ids(self._gradient_context(rollout)),
                    response_ids=rollout.completion.token_ids,
                    advantage=token_advantages,
                    old_log_probs=None if old is None else scored.get((index, old)),
                    token_weights=weights,
                    reference_log_probs=references.get(index),
                    counts=counts,
                )
            )
        return rows

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
        log_probs = self._scored(self._score_reference, contexts)
        return dict(zip(measured, log_probs, strict=True))

    def _penalties(self, groups: Groups) -> Tensor | float:
        """What the divergence from the reference policy takes from each reward, `[G, K]`.

        Nothing in a group of which a part cannot be measured: those that pay would be worse than
        others that fail.
        """
        if not self.kl.in_reward or self._score_reference is None:
            return 0.0
        everything = [rollout for group in groups for rollout in group]
        whole = [all(map(self._sampled_after_gradient_context, group)) for group in groups]
        size = len(groups[0])
        measured = [index for index in range(len(everything)) if whole[index // size]]
        mine = [
            (everything[index], self._gradient_context(everything[index]))
            for index in measured[rank() :: world_size()]
        ]
        sums = [
            kl_estimate(policy, reference, self.kl.estimator).sum().item()
            for policy, reference in zip(
                self._scored(self._score, mine),
                self._scored(self._score_reference, mine),
                strict=True,
            )
        ]
        penalties = torch.zeros(len(everything))
        places = torch.tensor(measured, dtype=torch.long)
        penalties[places] = self.kl.coefficient * torch.tensor(gather_shards(sums))
        return penalties.view(len(groups), -1)

    def _scored(
        self, score: ScoreResponses, contexts: Sequence[tuple[Rollout, Context]]
    ) -> list[Tensor]:
        pairs: list[Any] = [(r.ids(context), r.completion.token_ids) for r, context in contexts]
        if not maximum(len(pairs)):
            return []
        with self.ledger.phase("mask"):
            self.ledger.add(scored_tokens=sum(len(context) + len(ids) for context, ids in pairs))
            return score(pairs)

    def _filler(self, groups: Groups) -> Row:
        """A row that is no part of the loss: every rank must go through the network every step."""
        rollouts = [rollout for group in groups for rollout in group]
        shortest = min(rollouts, key=lambda rollout: len(rollout.completion.token_ids))
        response_ids = shortest.completion.token_ids
        nothing = torch.zeros(len(response_ids), dtype=torch.bool)
        return Row(shortest.bare_ids, response_ids, 0.0, counts=nothing)
