"""Prompt evolution every so many steps, also in the middle of an epoch."""

import os
from typing import Any

from lightning.pytorch import LightningModule, Trainer

from p2o_callbacks.errors import ConfigurationError
from p2o_callbacks.evolution import PromptEvolution
from p2o_callbacks.protocols import Evolver, TemplateUser, find_part, logging_step


class StepwiseEvolution(PromptEvolution):
    """Evolves every `every_n_steps` steps; what it finds is for the rollouts that follow.

    For hints that all samples have, searched as the policy changes (FST, arXiv 2605.12484), or for
    epochs that are too long to wait for. The hard set is that of the last whole epoch. Steps that
    change nothing count too. Pools are written to ``evolution/epoch_NNNN.json``, where NNNN is the
    number of the search.

    Args:
        evolver: The search.
        every_n_steps: Optimiser steps from one search to the next.
        seed: Makes the search repeatable.
        directory: Where pools are written; None uses the trainer's root.
        at_start: Whether to search before the first step as well.

    Raises:
        ConfigurationError: `every_n_steps` is below 1.
    """

    def __init__(
        self,
        evolver: Evolver,
        every_n_steps: int,
        seed: int = 0,
        directory: str | os.PathLike[str] | None = None,
        at_start: bool = True,
    ) -> None:
        super().__init__(evolver, 1, seed, directory, at_start)
        if every_n_steps < 1:
            raise ConfigurationError(f"every_n_steps={every_n_steps}: give at least 1")
        self.every_n_steps = every_n_steps

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Search before the first rollouts, where that is wanted, and publish."""
        self._search_in_time(trainer)
        super().on_train_start(trainer, pl_module)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Nothing: the pool lives on."""

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Search when it is time."""
        self._search_in_time(trainer)

    def _search_in_time(self, trainer: Trainer) -> None:
        number = logging_step(trainer) // self.every_n_steps
        if number > self.evolved_epoch:
            user = find_part(trainer, TemplateUser, "StepwiseEvolution")
            self._evolve(trainer, user, number)
            self.evolved_epoch = number
            user.publish_pool(self.pool)
