"""How prompts are grouped into batches and optimiser steps."""

from dataclasses import dataclass


@dataclass(frozen=True)
class BatchSizes:
    """How prompts are grouped.

    Attributes:
        group_size: Rollouts of each prompt, K of the paper; their mean where an allocation deals
            them out.
        batch: Prompts rolled out together.
        mini_batch: Prompts in one optimiser step.
        micro_batches: Training steps that one optimiser step is split into; the trainer's
            ``accumulate_grad_batches``.
        sampling_rounds: How often groups without contrast are replaced to fill a batch, 1 for not
            at all; more is DAPO's dynamic sampling.
    """

    group_size: int
    batch: int
    mini_batch: int
    micro_batches: int = 1
    sampling_rounds: int = 1

    def mini_batches(self, prompts: int) -> int:
        """Optimiser steps that this many prompts make in one epoch."""
        full, rest = divmod(prompts, self.batch)
        return full * -(-self.batch // self.mini_batch) + -(-rest // self.mini_batch)
