"""A Lightning callback that watches a run of p2o: steps, the network's work, memory."""

from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from benchmarks.clock import CLOCK, SCORING, UPDATE
from benchmarks.shape import shape_of


class Probe(Callback):
    """Puts forward passes, backward passes and optimiser steps on the clock.

    A forward pass without gradient is scoring. A step lasts from the end of the one before to its
    own end, sampling and all; what happens between epochs is part of none.

    Args:
        output: The file to write when training ends.
    """

    def __init__(self, output: str) -> None:
        self.output = Path(output)
        self._updates = 0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Watch the policy and the optimiser."""
        policy: Any = pl_module.policy
        policy.register_forward_pre_hook(
            lambda *_: CLOCK.start(UPDATE if torch.is_grad_enabled() else SCORING)
        )
        policy.register_forward_hook(lambda *_: CLOCK.stop())
        trainer.optimizers[0].register_step_post_hook(lambda *_: CLOCK.stop())
        CLOCK.facts["shape"] = shape_of(policy.model)
        CLOCK.facts["threads"] = torch.get_num_threads()

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """A step begins."""
        CLOCK.open_epoch()

    def on_before_backward(self, trainer: Trainer, pl_module: LightningModule, loss: Any) -> None:
        """The backward pass begins."""
        CLOCK.start(UPDATE)

    def on_after_backward(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """The backward pass has ended."""
        CLOCK.stop()

    def on_before_optimizer_step(
        self, trainer: Trainer, pl_module: LightningModule, optimizer: Any
    ) -> None:
        """The optimiser begins, with clipping."""
        CLOCK.start(UPDATE)

    def on_train_batch_end(self, trainer: Trainer, *given: Any, **named: Any) -> None:
        """A step ends, when weights have changed."""
        if trainer.global_step > self._updates:
            self._updates = trainer.global_step
            CLOCK.end_step()

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write what was measured."""
        CLOCK.write(self.output)
