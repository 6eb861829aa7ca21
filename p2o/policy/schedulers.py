"""Learning-rate schedules over a run: over its budget if it has one, else its updates.

A schedule counts places. Under a `SpendingBudget` a place is a rollout, a token or a second, else
an update.
"""

import math

from lightning.pytorch import Trainer
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler
from transformers import get_cosine_schedule_with_warmup, get_linear_schedule_with_warmup

from p2o.constraints import Share
from p2o.errors import UserError
from p2o_callbacks.spending_budget import SpendingBudget


def schedule_length(trainer: Trainer) -> int:
    """How many places there are.

    Raises:
        UserError: The run has no end that is known.
    """
    budget = _budget(trainer)
    if budget is not None:
        return math.ceil(budget.limit)
    updates = trainer.estimated_stepping_batches
    if math.isinf(updates):
        raise UserError(
            "a run without an end has no length to lay a scheduler over; give max_epochs or "
            "max_steps to the trainer, or a RolloutBudget among its callbacks"
        )
    return int(updates)


def go_on(scheduler: LRScheduler, trainer: Trainer) -> None:
    """Move a schedule on after an update: by one place, or by what was spent since.

    Args:
        scheduler: Under a budget one whose rate follows from its place alone, as `LambdaLR`'s does.
        trainer: Of the run.
    """
    budget = _budget(trainer)
    if budget is not None:
        # A step takes it from here to the next place.
        scheduler.last_epoch = int(budget.spent(trainer)) - 1
    scheduler.step()


def _budget(trainer: Trainer) -> SpendingBudget | None:
    callbacks = trainer.callbacks  # type: ignore[attr-defined]
    return next((each for each in callbacks if isinstance(each, SpendingBudget)), None)


def warmup_then_constant(
    optimizer: Optimizer, num_training_steps: int, warmup: Share = 0.05
) -> LambdaLR:
    """Rise linearly over a share of the places, then stay.

    Args:
        optimizer: Whose learning rate to set.
        num_training_steps: Places in all.
        warmup: Share of them to warm up in; 5 % in the paper.
    """
    steps = max(1, round(warmup * num_training_steps))
    return LambdaLR(optimizer, lambda step: min(1.0, (step + 1) / steps))


def linear(optimizer: Optimizer, num_training_steps: int, warmup: Share = 0.05) -> LambdaLR:
    """Rise linearly over a share of the places, then fall linearly to 0.

    As in transformers, a warm-up starts at 0: its first update changes nothing.

    Args:
        optimizer: Whose learning rate to set.
        num_training_steps: Places in all.
        warmup: Share of them to warm up in.
    """
    steps = round(warmup * num_training_steps)
    return get_linear_schedule_with_warmup(optimizer, steps, num_training_steps)


def cosine(optimizer: Optimizer, num_training_steps: int, warmup: Share = 0.05) -> LambdaLR:
    """Rise linearly over a share of the places, then fall to 0 along half a cosine.

    As in transformers, a warm-up starts at 0: its first update changes nothing.

    Args:
        optimizer: Whose learning rate to set.
        num_training_steps: Places in all.
        warmup: Share of them to warm up in.
    """
    steps = round(warmup * num_training_steps)
    return get_cosine_schedule_with_warmup(optimizer, steps, num_training_steps)
