"""From scored groups to the micro-batches of their optimiser steps."""

from collections.abc import Callable, Sequence
from dataclasses import replace
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
        self.kl = kl
        # With either term in the loss every response has a gradient, whatever its advantage.
        self.all_carry = kl.in_loss or entropy_bonus
        self._score, self._score_reference = score, score_reference

    def build(self, groups: Sequence[Sequence[Rollout]]) -> tuple[list[MiniBatch], Tensor]:
        """All micro-batches of groups that were rolled out together, and advantages `[G, K]`.

        Old log-probabilities of every one are computed before the first is handed out, because
        the update that follows changes the weights.
        """
        advantages = self.credit.assign(groups, self._penalties(groups))
        micro_batches: list[MiniBatch] = []
        for start in range(0, len(groups), self.sizes.mini_batch):
            part = slice(start, start + self.sizes.mini_batch)
            micro_batches += self._mini_batch(groups[part], advantages[part], start == 0)
        return micro_batches, advantages

    def idle(self) -> MiniBatch:
        """A micro-batch of an optimiser step that has nothing to learn from."""
        return replace(collate([self._filler((0,), (0,))], 1, 1), idle=True)

    def _mini_batch(
        self, groups: Sequence[Sequence[Rollout]], advantages: Tensor, on_policy: bool
    ) -> list[MiniBatch]:
        counted = [
            (rollout, advantage)
            for group, row in zip(groups, advantages.tolist(), strict=True)
            for rollout, advantage in zip(group, row, strict=True)
            if self.credit.counts(rollout)
        ]
        kept = [pair for pair in counted if self._carries_gradient(*pair)]
        kept.sort(key=lambda pair: len(pair[0].bare_ids) + len(pair[0].completion.token_ids))
        rows = self._rows(kept[rank() :: world_size()], on_policy)
        tokens = sum(len(rollout.completion.token_ids) for rollout, _ in counted)
        if not self.strategy.masked_in_denominator:
            masked = sum(int((~row.counts).sum()) for row in rows if row.counts is not None)
            tokens -= sum(gather(masked))
        shares = torch.arange(len(rows)).tensor_split(self.sizes.micro_batches)
        return [
            collate(
                [rows[index] for index in share.tolist()] or [self._shortest(groups)],
                total_tokens=max(tokens, 1),
                total_sequences=max(len(counted), 1),
            )
            for share in shares
        ]

    def _carries_gradient(self, rollout: Rollout, advantage: float) -> bool:
        if self.all_carry:
            return True
        if not rollout.template:
            return advantage != 0
        # Which tokens leave the denominator is known only of responses that are scored.
        if not self.strategy.masked_in_denominator:
            return True
        return self.strategy.carries_gradient(advantage, rollout.score.reward)

    def _rows(self, kept: Sequence[tuple[Rollout, float]], on_policy: bool) -> list[Row]:
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
                bare = scored.get((index, Context.BARE), torch.empty(0))
                templated = scored.get((index, Context.TEMPLATED), torch.empty(0))
                if strategy.needs_log_probs:
                    weights = strategy.token_weights(bare, templated)
                token_advantages = strategy.token_advantages(
                    advantage, rollout.score.reward, bare, templated
                )
                if weights is not None and not strategy.masked_in_denominator:
                    counts = weights != 0
            rows.append(
                Row(
                    context_ids=rollout.ids(self._gradient_context(rollout)),
                    response_ids=rollout.completion.token_ids,
                    advantage=token_advantages,
                    old_log_probs=None if old is None else scored.get((index, old)),
                    token_weights=weights,
                    reference_log_probs=references[index],
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

    def _references(self, rollouts: Sequence[Rollout]) -> Sequence[Tensor | None]:
        if self._score_reference is None:
            return [None] * len(rollouts)
        contexts = [(rollout, self._gradient_context(rollout)) for rollout in rollouts]
        return self._scored(self._score_reference, contexts)

    def _penalties(self, groups: Sequence[Sequence[Rollout]]) -> Tensor | float:
        """What the divergence from the reference policy takes from each reward, `[G, K]`."""
        if not self.kl.in_reward or self._score_reference is None:
            return 0.0
        everything = [rollout for group in groups for rollout in group]
        mine = [(r, self._gradient_context(r)) for r in everything[rank() :: world_size()]]
        sums = [
            kl_estimate(policy, reference, self.kl.estimator).sum().item()
            for policy, reference in zip(
                self._scored(self._score, mine),
                self._scored(self._score_reference, mine),
                strict=True,
            )
        ]
        return self.kl.coefficient * torch.tensor(gather_shards(sums)).view(len(groups), -1)

    def _scored(
        self, score: ScoreResponses, contexts: Sequence[tuple[Rollout, Context]]
    ) -> list[Tensor]:
        pairs: list[Any] = [(r.ids(context), r.completion.token_ids) for r, context in contexts]
        if not maximum(len(pairs)):
            return []
        with self.ledger.phase("mask"):
            self.ledger.add(scored_tokens=sum(len(context) + len(ids) for context, ids in pairs))
            return score(pairs)

    def _shortest(self, groups: Sequence[Sequence[Rollout]]) -> Row:
        rollouts = [rollout for group in groups for rollout in group]
        shortest = min(rollouts, key=lambda rollout: len(rollout.completion.token_ids))
        return self._filler(shortest.bare_ids, shortest.completion.token_ids)

    def _filler(self, context_ids: tuple[int, ...], response_ids: tuple[int, ...]) -> Row:
        """A row that is no part of the loss: every rank must go through the network every step."""
        nothing = torch.zeros(len(response_ids))
        return Row(
            context_ids,
            response_ids,
            0.0,
            reference_log_probs=None if self._score_reference is None else nothing,
            counts=nothing.bool(),
        )
