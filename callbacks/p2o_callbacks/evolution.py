"""Prompt evolution between epochs (P²O, arXiv 2603.21877, Algorithms 2 to 4)."""

import hashlib
import json
import os
import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from p2o_callbacks.ending import has_ended, is_over
from p2o_callbacks.errors import ConfigurationError
from p2o_callbacks.following import find_miner
from p2o_callbacks.hint import HintOrText
from p2o_callbacks.missed import starts_untold
from p2o_callbacks.pool import PromptPool, joined
from p2o_callbacks.pool_files import Moment, warn_of_pools, write_pool
from p2o_callbacks.protocols import (
    EpochCloser,
    Evolution,
    EvolutionDisplay,
    Evolver,
    HardSetSoFar,
    HardSetSource,
    PoolObserver,
    TemplateTrial,
    TemplateUser,
    check_name,
    find_early,
    find_part,
    logging_step,
    named_key,
)
from p2o_callbacks.ranks import gather
from p2o_callbacks.spoken import SpokenSearch, outcome

USUAL = "evolution"
"""The name of a search that was given none, which stands in no seed and in no key of a state."""


class PromptEvolution(Callback):
    """Evolves templates for the hard set of the epoch that ended and publishes them for the next.

    It runs in the gap between two epochs, after the first one's checkpoint has been written: a
    crash in the search loses no training, and a run that is over pays for no search. An empty hard
    set publishes an empty pool.

    Between two searches the pool is dealt out anew at the start of each epoch: templates are for
    the samples that are hard at that time, and one that has become hard draws from the cover.

    With `every_n_steps` it runs within epochs instead, after every so many optimiser steps, for the
    samples that are hard by then; a search that is due when the run is over is not made. An epoch
    that ends without one, such as a first one in which all rollouts fail and no step is made, is
    followed by one.

    With `bare_rollouts` a group has rollouts with a hint and without one, whatever the evolver
    deals out. So there is contrast in a group though its hint always works (as in NuRL, arXiv
    2509.25666, and POPE, 2601.18779).

    Several in one trainer, each with a name of its own, publish their pools as one. Where two have
    templates for a sample, it gets those of the later one in the trainer's list.

    Every rank runs the same search; the engine behind `TemplateUser.evaluate_templates` is what
    shares the work, and it has to give the same trials to all. What a search does is told to a
    progress bar that is an `EvolutionDisplay`, such as `LoopProgress`; without one it is said in
    a few lines. Logs ``evolution/metric_calls``, ``evolution/iterations``,
    ``evolution/failed`` (trials without a verdict), ``evolution/templates``, ``evolution/cover``
    (templates in use, the empty one not counted) and ``evolution/best_score`` of each search, and
    ``evolution/leaks``, ``evolution/spared`` and ``evolution/solved_before`` where the evolver
    tells them (see `Evolution`). Writes each pool to ``evolution/epoch_NNNN.json`` under
    `directory`, or to ``epoch_NNNN_step_NNNNNNNN.json`` where it is made within an epoch.

    Args:
        evolver: The search.
        every_n_epochs: Epochs from one search to the next; its templates live on in between.
        last_search: Epoch at whose start the last search may be made, the first epoch being 0; its
            templates live on to the end. None searches for as long as the run goes on.
        seed: Makes the search repeatable.
        directory: Where pools are written; None uses the trainer's root.
        at_start: Whether to search before the first epoch as well, when there is no hard set yet:
            for hints that all problems have.
        every_n_steps: Optimiser steps from one search to the next, in place of epochs.
        name: Of this callback: what its metrics begin with, in place of ``evolution``, and what its
            state and its folder are called.
        miner: The name of the miner that it follows, where there are several.
        bare_rollouts: How many rollouts of a hinted sample stay bare: the last of its group.

    Raises:
        ConfigurationError: An interval or `last_search` is below 1, both intervals are given,
            `bare_rollouts` is below 0 or leaves no rollout for a hint, the name is none of a
            folder, or it is not clear which miner is meant; or, after a search, ranks have found
            different pools.
        TypeError: No `HardSetSource` is among the trainer's callbacks.

    Example::

        Trainer(callbacks=[HardSampleMiner(), PromptEvolution(evolver)])
    """

    def __init__(
        self,
        evolver: Evolver,
        every_n_epochs: int = 1,
        seed: int = 0,
        directory: str | os.PathLike[str] | None = None,
        at_start: bool = False,
        every_n_steps: int | None = None,
        name: str = USUAL,
        miner: str | None = None,
        last_search: int | None = None,
        bare_rollouts: int = 0,
    ) -> None:
        for setting, value in (
            ("every_n_epochs", every_n_epochs),
            ("every_n_steps", every_n_steps),
            ("last_search", last_search),
        ):
            if value is not None and value < 1:
                raise ConfigurationError(f"{setting}={value}: give at least 1")
        if every_n_steps is not None and every_n_epochs != 1:
            raise ConfigurationError(
                f"every_n_epochs={every_n_epochs}: every_n_steps={every_n_steps} stands in place "
                "of epochs; give one of them"
            )
        if bare_rollouts < 0:
            raise ConfigurationError(f"bare_rollouts={bare_rollouts}: give at least 0")
        check_name(name)
        self.evolver = evolver
        self.every_n_epochs, self.every_n_steps = every_n_epochs, every_n_steps
        self.name, self.miner, self.last_search = name, miner, last_search
        self.seed, self.bare_rollouts = seed, bare_rollouts
        self.directory = None if directory is None else Path(directory)
        self.pool = PromptPool()
        self.evolved_step = -1 if at_start else 0
        # Where steps are what is counted, an epoch's start is no time for a first search.
        self.evolved_epoch = 0 if every_n_steps is not None else self.evolved_step
        self.evolved_within = False
        # When the last search was made, and what it dealt out.
        self._searched_at: Moment | None = None
        self._searched: Mapping[str, tuple[int | None, ...]] = {}
        self._trials = self._failed = 0
        self._observers: list[PoolObserver] = []

    def add_pool_observer(self, observer: PoolObserver) -> None:
        """See `PoolSource`."""
        self._observers.append(observer)

    @property
    def state_key(self) -> str:
        """One for each name, so that a trainer takes several of this class."""
        return named_key(self, USUAL)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Find the parts this callback works with, before anything is spent."""
        if stage == "fit":
            user = find_early(trainer, TemplateUser, "PromptEvolution")
            if user is not None:
                self._hinted_rollouts(user)
            self.find_miner(trainer)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Publish the pool: an epoch resumed in its middle does not start again.

        An epoch for which Lightning does not call `on_train_epoch_start` starts here.
        """
        user = find_part(trainer, TemplateUser, "PromptEvolution")
        if trainer.is_global_zero and (trainer.current_epoch, trainer.global_step) == (0, 0):
            warn_of_pools(self.folder(trainer))
        miner = self.find_miner(trainer)
        if isinstance(miner, EpochCloser):
            miner.close_missed_epoch(trainer)
        # A run that has ended before may be told so here.
        if not has_ended(trainer):
            untold = starts_untold(trainer)
            epoch = trainer.current_epoch - untold
            if self._is_due(trainer, epoch):
                self._evolve_within(trainer, user, epoch)
            if untold:
                # The trainer has not counted the last batch of the epoch before yet.
                self._begin_epoch(trainer, user, logging_step(trainer) + 1)
        self._publish(trainer, user)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Search or deal, when an epoch has ended and this one has no pool yet."""
        user = find_part(trainer, TemplateUser, "PromptEvolution")
        self._begin_epoch(trainer, user, logging_step(trainer))
        self._publish(trainer, user)

    def _begin_epoch(self, trainer: Trainer, user: TemplateUser, step: int) -> None:
        """Search or deal for an epoch that has no pool yet; log at a step."""
        epoch = trainer.current_epoch
        if epoch > self.evolved_epoch:
            if self._is_time(epoch) and not self.evolved_within:
                self._evolve(trainer, user, Moment(epoch), step)
            # What a search has left bare is dealt out, too: groups may have another size by now.
            elif self._searched_at is not None and (self.pool.cover or self._searched):
                self._deal(trainer, user, self._searched_at)
            self.evolved_epoch, self.evolved_within = epoch, False

    def _is_time(self, epoch: int) -> bool:
        """Whether a search may be made before an epoch."""
        over = self.last_search is not None and epoch > self.last_search
        return not over and epoch % self.every_n_epochs == 0

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Search after a step, where steps are what is counted."""
        epoch = trainer.current_epoch
        if self._is_due(trainer, epoch) and not is_over(trainer):
            user = find_part(trainer, TemplateUser, "PromptEvolution")
            self._evolve_within(trainer, user, epoch)
            self._publish(trainer, user)

    def _is_due(self, trainer: Trainer, epoch: int) -> bool:
        """Whether so many steps have been made; a search that was broken off is made again."""
        step, last = trainer.global_step, self.last_search
        if self.every_n_steps is None or step % self.every_n_steps or step <= self.evolved_step:
            return False
        return last is None or epoch < last

    def _evolve_within(self, trainer: Trainer, user: TemplateUser, epoch: int) -> None:
        """Search within an epoch."""
        step = trainer.global_step
        self._evolve(trainer, user, Moment(epoch, step), logging_step(trainer))
        self.evolved_step, self.evolved_within = step, True

    def _publish(self, trainer: Trainer, user: TemplateUser) -> None:
        callbacks: list[Any] = trainer.callbacks  # type: ignore[attr-defined]
        pools = [each.pool for each in callbacks if isinstance(each, PromptEvolution)]
        user.publish_pool(pools[0] if len(pools) == 1 else joined(pools))

    def _deal(self, trainer: Trainer, user: TemplateUser, searched: Moment) -> None:
        """Deal out what the search of a moment found to the hard set of the epoch that ended."""
        found = replace(self.pool, assignment=self._searched)
        assignment = self.evolver.deal(
            found,
            self._hard_set(trainer),
            group_size=self._hinted_rollouts(user),
            seed=self._derive_seed("search", *searched.seed),
        )
        self.pool = self._with_bare(replace(found, assignment=assignment))
        self._made(trainer, Moment(trainer.current_epoch), None)

    def _evolve(self, trainer: Trainer, user: TemplateUser, moment: Moment, step: int) -> None:
        # Counted anew, so that a search that was broken off is made again with the same seeds.
        self._trials = self._failed = 0
        hard_set = self._hard_set(trainer)
        bar = trainer.progress_bar_callback
        display = (
            bar if isinstance(bar, EvolutionDisplay) else SpokenSearch(self.name, len(hard_set))
        )
        evolution = self.evolver.evolve(
            hard_set,
            partial(self._evaluate, user, moment),
            group_size=self._hinted_rollouts(user),
            seed=self._derive_seed("search", *moment.seed),
            report=display.evolution_progress,
        )
        _check_ranks(evolution.pool)
        self.pool = self._with_bare(evolution.pool)
        self._searched_at, self._searched = moment, evolution.pool.assignment
        display.evolution_end(outcome(len(hard_set), evolution))
        templates = self.pool.templates
        scores = [template.score for template in templates if template.score is not None]
        metrics = {
            f"{self.name}/metric_calls": evolution.metric_calls,
            f"{self.name}/iterations": evolution.iterations,
            f"{self.name}/failed": self._failed,
            f"{self.name}/templates": len(templates),
            f"{self.name}/cover": len(self.pool.in_use),
            f"{self.name}/best_score": max(scores, default=0.0),
        }
        for name in ("leaks", "spared", "solved_before"):
            if getattr(evolution, name) is not None:
                metrics[f"{self.name}/{name}"] = getattr(evolution, name)
        for metrics_logger in trainer.loggers:
            metrics_logger.log_metrics(metrics, step=step)
        self._made(trainer, moment, evolution)

    def _hinted_rollouts(self, user: TemplateUser) -> int:
        """How many of a group's rollouts an evolver deals hints out to."""
        if self.bare_rollouts >= user.group_size:
            raise ConfigurationError(
                f"bare_rollouts={self.bare_rollouts} leaves no rollout of a group of "
                f"{user.group_size} for a hint; give at most {user.group_size - 1}"
            )
        return user.group_size - self.bare_rollouts

    def _with_bare(self, pool: PromptPool) -> PromptPool:
        """Put those that stay bare behind what was dealt out to each sample."""
        bare = (None,) * self.bare_rollouts
        return replace(pool, assignment={key: (*d, *bare) for key, d in pool.assignment.items()})

    def _made(self, trainer: Trainer, moment: Moment, evolution: Evolution | None) -> None:
        """Write the pool and tell of it."""
        if trainer.is_global_zero:
            write_pool(self.folder(trainer), moment, self.pool)
        for observer in self._observers:
            observer(moment, self.pool, evolution)

    def _evaluate(
        self, user: TemplateUser, moment: Moment, pairs: Sequence[tuple[str, HintOrText]]
    ) -> list[TemplateTrial]:
        self._trials += 1
        seed = self._derive_seed("trial", *moment.seed, self._trials)
        trials = user.evaluate_templates(pairs, seed)
        if len(trials) != len(pairs):
            raise ValueError(
                f"{type(user).__name__}.evaluate_templates returned {len(trials)} trials for "
                f"{len(pairs)} pairs; it has to return one for each, in their order"
            )
        self._failed += sum(trial.solved is None for trial in trials)
        return trials

    def folder(self, trainer: Trainer) -> Path:
        """Where pools are written."""
        return (self.directory or Path(trainer.default_root_dir)) / self.name

    def _derive_seed(self, *parts: int | str) -> int:
        """Seeds of one run must not come back in another whose seed is the next number.

        Nor those of one search in another of the same run, which has another name.
        """
        named = () if self.name == USUAL else (self.name,)
        return random.Random("/".join(map(str, (self.seed, *named, *parts)))).getrandbits(62)

    def _hard_set(self, trainer: Trainer) -> Sequence[str]:
        source = self.find_miner(trainer)
        if self.every_n_steps is not None and isinstance(source, HardSetSoFar):
            return source.hard_so_far
        return source.hard_set

    def find_miner(self, trainer: Trainer) -> HardSetSource:
        """The miner that it follows; see `p2o_callbacks.following.find_miner`."""
        return find_miner(trainer, self.miner)

    def state_dict(self) -> dict[str, Any]:
        """Primitives only; equal on all ranks, as every rank runs the same search."""
        return {
            "pool": self.pool.state_dict(),
            "searched_at": None if self._searched_at is None else asdict(self._searched_at),
            "searched": {key: list(indices) for key, indices in self._searched.items()},
            "evolved_epoch": self.evolved_epoch,
            "evolved_step": self.evolved_step,
            "evolved_within": self.evolved_within,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what `state_dict` wrote; the pool is published when training starts."""
        self.pool = PromptPool.from_state_dict(state_dict["pool"])
        self._searched_at = state_dict["searched_at"] and Moment(**state_dict["searched_at"])
        self._searched = {key: tuple(drawn) for key, drawn in state_dict["searched"].items()}
        self.evolved_epoch = state_dict["evolved_epoch"]
        self.evolved_step = state_dict["evolved_step"]
        self.evolved_within = state_dict["evolved_within"]


def _check_ranks(pool: PromptPool) -> None:
    """Pools that differ would go unnoticed: each rank rolls out with its own."""
    # A pool of thousands of samples is megabytes of text, and every rank would get that of all.
    text = json.dumps(pool.state_dict(), sort_keys=True)
    sums = gather(hashlib.sha256(text.encode()).hexdigest())
    differing = [str(rank) for rank, other in enumerate(sums) if other != sums[0]]
    if differing:
        raise ConfigurationError(
            f"the search found another pool on rank {', '.join(differing)} than on rank 0; "
            "evaluate_templates has to give every rank the same trials, and the evolver may depend "
            "on nothing but its arguments"
        )
