"""The training loader: prompts in, mini-batches of scored groups out."""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from p2o.data.experience import ScoreResponses, make_rows
from p2o.data.metrics import rollout_metrics
from p2o.data.minibatch import MiniBatch, Row, collate
from p2o.data.prompt import Prompt
from p2o.distillation.strategy import DistillationStrategy
from p2o.distributed import rank, world_size
from p2o.ledger import Ledger
from p2o.objectives.advantages import live_groups
from p2o.rollout.engine import SamplingParameters
from p2o.rollout.runner import Rollout, RolloutRunner
from p2o.seeds import derive_seed
from p2o_callbacks.pool import PromptPool
from p2o_callbacks.protocols import GroupObserver, GroupOutcome


@dataclass(frozen=True)
class BatchSizes:
    """How prompts are grouped.

    Attributes:
        group_size: Rollouts of each prompt, K of the paper.
        batch: Prompts rolled out together.
        mini_batch: Prompts in one optimiser step.
        micro_batches: Training steps that one optimiser step is split into; the trainer's
            ``accumulate_grad_batches``.
    """

    group_size: int
    batch: int
    mini_batch: int
    micro_batches: int = 1

    def mini_batches(self, prompts: int) -> int:
        """Optimiser steps that this many prompts make in one epoch."""
        full, rest = divmod(prompts, self.batch)
        return full * -(-self.batch // self.mini_batch) + -(-rest // self.mini_batch)


class RolloutLoader:
    """A sized iterable over one epoch; rolls out a batch of prompts whenever it runs dry.

    It has a length, so that Lightning does not fetch ahead: every batch is sampled with the
    weights of the update before it. Every rank sees all groups and keeps its share of the rows.

    Args:
        prompts: The training prompts.
        runner: Rolls out and verifies.
        sizes: How prompts are grouped.
        sampling: How to draw tokens.
        advantages: Rewards `[G, K]` to advantages `[G, K]`.
        strategy: What to do with templated rollouts.
        ledger: Where to count what is put through the network.
        position: Tells the epoch, from which order and seeds follow, and the steps of it that a
            resumed run has behind it.
        refresh_engine: Called before every batch; gives the engine the current weights.
        score: The trainer's forward pass.
        seed: Of the run.
    """

    def __init__(
        self,
        prompts: Sequence[Prompt],
        runner: RolloutRunner,
        sizes: BatchSizes,
        sampling: SamplingParameters,
        advantages: Callable[[Tensor], Tensor],
        strategy: DistillationStrategy,
        ledger: Ledger,
        position: Callable[[], tuple[int, int]],
        refresh_engine: Callable[[], None],
        score: ScoreResponses,
        seed: int,
    ) -> None:
        self.prompts, self.runner, self.sizes, self.sampling = prompts, runner, sizes, sampling
        self.advantages, self.strategy, self.ledger = advantages, strategy, ledger
        self.position, self.refresh_engine = position, refresh_engine
        self.score, self.seed = score, seed
        self.pool = PromptPool()
        self.observers: list[GroupObserver] = []

    def __len__(self) -> int:
        return self.sizes.mini_batches(len(self.prompts)) * self.sizes.micro_batches

    def __iter__(self) -> Iterator[MiniBatch]:
        epoch, done = self.position()
        order = list(self.prompts)
        random.Random(derive_seed(self.seed, "order", epoch)).shuffle(order)
        for start in range(0, len(order), self.sizes.batch):
            batch = order[start : start + self.sizes.batch]
            steps = self.sizes.mini_batches(len(batch)) * self.sizes.micro_batches
            if done >= steps:
                done -= steps
                continue
            groups = self._roll_out(batch, derive_seed(self.seed, "rollout", epoch, start))
            for micro_batch in self._micro_batches(groups):
                with self.ledger.phase("train"):
                    self.ledger.add(trained_tokens=micro_batch.tokens)
                yield micro_batch

    def _roll_out(self, prompts: Sequence[Prompt], seed: int) -> list[list[Rollout]]:
        """Groups of K rollouts, in the order of `prompts`."""
        size = self.sizes.group_size
        pairs = [
            (prompt, self.pool.text_for(prompt.id, index))
            for prompt in prompts
            for index in range(size)
        ]
        with self.ledger.phase("train"):
            self.refresh_engine()
            rollouts = self.runner.run(pairs, self.sampling, seed)
        groups = [rollouts[start : start + size] for start in range(0, len(rollouts), size)]
        outcomes = [
            GroupOutcome(group[0].prompt.id, tuple(rollout.score.reward for rollout in group))
            for group in groups
        ]
        for observer in self.observers:
            observer(outcomes)
        return groups

    def _micro_batches(self, groups: list[list[Rollout]]) -> Iterator[MiniBatch]:
        """All micro-batches of a batch of groups.

        Old log-probabilities of every one are computed before the first is handed out, because
        the update that follows changes the weights.
        """
        rewards = torch.tensor([[rollout.score.reward for rollout in group] for group in groups])
        advantages, live = self.advantages(rewards), live_groups(rewards)
        metrics = rollout_metrics(groups, advantages, live)
        metrics["rollout/template_overflows"] = float(self.runner.overflows)
        prepared: list[MiniBatch] = []
        for start in range(0, len(groups), self.sizes.mini_batch):
            part = slice(start, start + self.sizes.mini_batch)
            prepared += self._mini_batch(groups[part], advantages[part], live[part], start == 0)
        prepared[0].metrics.update(metrics)
        yield from prepared

    def _mini_batch(
        self, groups: list[list[Rollout]], advantages: Tensor, live: Tensor, on_policy: bool
    ) -> list[MiniBatch]:
        everything = [rollout for group in groups for rollout in group]
        # Groups without contrast carry no gradient; they stay in the denominator only.
        kept = [
            (rollout, advantage)
            for group, row, alive in zip(groups, advantages.tolist(), live.tolist(), strict=True)
            for rollout, advantage in zip(group, row, strict=True)
            if alive
        ]
        kept.sort(key=lambda pair: len(pair[0].bare_ids) + len(pair[0].completion.token_ids))
        mine = kept[rank() :: world_size()]
        with self.ledger.phase("mask"):
            rows = make_rows(
                [rollout for rollout, _ in mine],
                [advantage for _, advantage in mine],
                self.strategy,
                self._counted_score,
                on_policy,
            )
        shares = torch.arange(len(rows)).tensor_split(self.sizes.micro_batches)
        return [
            collate(
                [rows[index] for index in share.tolist()] or [_filler(everything)],
                total_tokens=sum(len(rollout.completion.token_ids) for rollout in everything),
                total_sequences=len(everything),
            )
            for share in shares
        ]

    def _counted_score(self, pairs: Sequence[Any]) -> list[Tensor]:
        self.ledger.add(scored_tokens=sum(len(context) + len(ids) for context, ids in pairs))
        return self.score(pairs)


def _filler(rollouts: Sequence[Rollout]) -> Row:
    """A row without advantage, because every rank must go through the network in every step."""
    shortest = min(rollouts, key=lambda rollout: len(rollout.completion.token_ids))
    return Row(shortest.bare_ids, shortest.completion.token_ids, 0.0)
