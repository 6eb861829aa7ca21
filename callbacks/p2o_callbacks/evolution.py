"""Prompt evolution between epochs (P²O, arXiv 2603.21877, Algorithms 2 to 4)."""

import json
import os
import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_only

from p2o_callbacks.errors import ConfigurationError
from p2o_callbacks.pool import PromptPool
from p2o_callbacks.protocols import (
    Evolution,
    EvolutionDisplay,
    Evolver,
    HardSetSource,
    TemplateTrial,
    TemplateUser,
    find_part,
    logging_step,
)
from p2o_callbacks.ranks import gather
from p2o_callbacks.spoken import SpokenSearch


class PromptEvolution(Callback):
    """Evolves templates for the hard set of the epoch that ended and publishes them for the next.

    It runs in the gap between two epochs, after the first one's checkpoint has been written: a
    crash in the search loses no training, and a run that is over pays for no search. An empty hard
    set publishes an empty pool.

    Between two searches the pool is dealt out anew at the start of each epoch: templates are for
    the samples that are hard at that time, and one that has become hard draws from the cover.

    Every rank runs the same search; the engine behind `TemplateUser.evaluate_templates` is what
    shares the work, and it has to give the same trials to all. What a search does is told to a
    progress bar that is an `EvolutionDisplay`, such as `LoopProgress`; without one it is said in
    a few lines. Logs ``evolution/metric_calls``, ``evolution/iterations``,
    ``evolution/templates``, ``evolution/cover`` (templates in use, the empty one not counted) and
    ``evolution/best_score`` of each search. Writes the pool of each epoch to
    ``evolution/epoch_NNNN.json`` under `directory`.

    Args:
        evolver: The search.
        every_n_epochs: Epochs from one search to the next; its templates live on in between.
        seed: Makes the search repeatable.
        directory: Where pools are written; None uses the trainer's root.

    Raises:
        ConfigurationError: `every_n_epochs` is below 1; or, after a search, ranks have found
            different pools.
        TypeError: No `HardSetSource` stands before this callback in the trainer's list.

    Example::

        Trainer(callbacks=[HardSampleMiner(), PromptEvolution(evolver)])
    """

    def __init__(
        self,
        evolver: Evolver,
        every_n_epochs: int = 1,
        seed: int = 0,
        directory: str | os.PathLike[str] | None = None,
    ) -> None:
        if every_n_epochs < 1:
            raise ConfigurationError(f"every_n_epochs={every_n_epochs}: give at least 1")
        self.evolver = evolver
        self.every_n_epochs = every_n_epochs
        self.seed = seed
        self.directory = None if directory is None else Path(directory)
        self.pool = PromptPool()
        self.evolved_epoch = 0
        self._searched: Mapping[str, tuple[int | None, ...]] = {}
        self._trials = 0

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Find the parts this callback works with, before anything is spent."""
        if stage == "fit":
            find_part(trainer, TemplateUser, "PromptEvolution")
            self._hard_set(trainer)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Publish the pool: an epoch resumed in its middle does not start again."""
        find_part(trainer, TemplateUser, "PromptEvolution").publish_pool(self.pool)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Search or deal, when an epoch has ended and this one has no pool yet."""
        user = find_part(trainer, TemplateUser, "PromptEvolution")
        epoch = trainer.current_epoch
        if epoch > self.evolved_epoch:
            since = epoch % self.every_n_epochs
            if since == 0:
                self._evolve(trainer, user, epoch)
            elif self.pool.cover:
                self._deal(trainer, user, epoch, since)
            self.evolved_epoch = epoch
        user.publish_pool(self.pool)

    def _deal(self, trainer: Trainer, user: TemplateUser, epoch: int, since: int) -> None:
        """Deal out what was found `since` epochs ago to the hard set of the epoch that ended."""
        found = replace(self.pool, assignment=self._searched)
        assignment = self.evolver.deal(
            found,
            self._hard_set(trainer),
            group_size=user.group_size,
            seed=self._derive_seed("search", epoch - since),
        )
        self.pool = replace(found, assignment=assignment)
        self._write_pool(trainer, epoch)

    def _evolve(self, trainer: Trainer, user: TemplateUser, epoch: int) -> None:
        # Counted anew, so that a search that was broken off is made again with the same seeds.
        self._trials = 0
        hard_set = self._hard_set(trainer)
        bar = trainer.progress_bar_callback
        display = bar if isinstance(bar, EvolutionDisplay) else SpokenSearch(len(hard_set))
        evolution = self.evolver.evolve(
            hard_set,
            partial(self._evaluate, user, epoch),
            group_size=user.group_size,
            seed=self._derive_seed("search", epoch),
            report=display.evolution_progress,
        )
        _check_ranks(evolution.pool)
        self.pool = evolution.pool
        self._searched = evolution.pool.assignment
        display.evolution_end(_outcome(len(hard_set), evolution))
        templates = self.pool.templates
        scores = [template.score for template in templates if template.score is not None]
        metrics = {
            "evolution/metric_calls": evolution.metric_calls,
            "evolution/iterations": evolution.iterations,
            "evolution/templates": len(templates),
            "evolution/cover": len(self.pool.in_use),
            "evolution/best_score": max(scores, default=0.0),
        }
        for metrics_logger in trainer.loggers:
            metrics_logger.log_metrics(metrics, step=logging_step(trainer))
        self._write_pool(trainer, epoch)

    def _evaluate(
        self, user: TemplateUser, epoch: int, pairs: Sequence[tuple[str, str]]
    ) -> list[TemplateTrial]:
        self._trials += 1
        seed = self._derive_seed("trial", epoch, self._trials)
        trials = user.evaluate_templates(pairs, seed)
        if len(trials) != len(pairs):
            raise ValueError(
                f"{type(user).__name__}.evaluate_templates returned {len(trials)} trials for "
                f"{len(pairs)} pairs; it has to return one for each, in their order"
            )
        return trials

    @rank_zero_only
    def _write_pool(self, trainer: Trainer, epoch: int) -> None:
        folder = (self.directory or Path(trainer.default_root_dir)) / "evolution"
        folder.mkdir(parents=True, exist_ok=True)
        content = json.dumps(self.pool.state_dict(), indent=2)
        path = folder / f"epoch_{epoch:04d}.json"
        # Written aside, for a kill must not leave half of it.
        aside = path.with_name(path.name + ".part")
        aside.write_text(content + "\n")
        aside.replace(path)

    def _derive_seed(self, *place: int | str) -> int:
        """Seeds of one run must not come back in another whose seed is the next number."""
        return random.Random("/".join(map(str, (self.seed, *place)))).getrandbits(62)

    def _hard_set(self, trainer: Trainer) -> Sequence[str]:
        callbacks: list[Any] = trainer.callbacks  # type: ignore[attr-defined]
        for callback in callbacks[: callbacks.index(self)]:
            if isinstance(callback, HardSetSource):
                return callback.hard_set
        raise TypeError(
            "PromptEvolution needs a callback with a hard_set, such as HardSampleMiner, before it "
            "in Trainer(callbacks=[...])"
        )

    def state_dict(self) -> dict[str, Any]:
        """Primitives only; equal on all ranks, as every rank runs the same search."""
        return {
            "pool": self.pool.state_dict(),
            "searched": {key: list(indices) for key, indices in self._searched.items()},
            "evolved_epoch": self.evolved_epoch,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what `state_dict` wrote; the pool is published when training starts."""
        self.pool = PromptPool.from_state_dict(state_dict["pool"])
        self._searched = {key: tuple(drawn) for key, drawn in state_dict["searched"].items()}
        self.evolved_epoch = state_dict["evolved_epoch"]


def _check_ranks(pool: PromptPool) -> None:
    """Pools that differ would go unnoticed: each rank rolls out with its own."""
    pools = gather(json.dumps(pool.state_dict(), sort_keys=True))
    differing = [str(rank) for rank, other in enumerate(pools) if other != pools[0]]
    if differing:
        raise ConfigurationError(
            f"the search found another pool on rank {', '.join(differing)} than on rank 0; "
            "evaluate_templates has to give every rank the same trials, and the evolver may depend "
            "on nothing but its arguments"
        )


def _outcome(hard_samples: int, evolution: Evolution) -> str:
    if number := len(evolution.pool.in_use):
        return f"{number} template{'s'[: number > 1]} for {hard_samples} hard samples"
    if evolution.pool.templates:
        bare = evolution.pool.templates[0].score or 0.0
        return f"no template for {hard_samples} hard samples (bare dev score {bare:.2f})"
    found = "no template" if evolution.metric_calls else "no search"
    return f"{found} for {hard_samples} hard samples"
