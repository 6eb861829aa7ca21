"""Whether a run ends with the batch at hand, or has ended before."""

from typing import Any

from lightning.pytorch import Trainer

from p2o_callbacks.spending_budget import SpendingBudget


def is_over(trainer: Trainer) -> bool:
    """Whether no rollout will follow this batch; collective, where a budget's counter is."""
    return has_ended(trainer) or (trainer.is_last_batch and _epochs_are_done(trainer, 1))


def has_ended(trainer: Trainer) -> bool:
    """Whether no batch will be begun; collective, where a budget's counter is."""
    last_step = 0 < trainer.max_steps <= trainer.global_step
    # A budget may stand later in the list, and has not asked the trainer to stop yet.
    callbacks: list[Any] = trainer.callbacks  # type: ignore[attr-defined]
    budgets = [each for each in callbacks if isinstance(each, SpendingBudget)]
    return (
        trainer.should_stop
        or last_step
        or _epochs_are_done(trainer)
        or any(budget.is_spent(trainer) for budget in budgets)
    )


def _epochs_are_done(trainer: Trainer, more: int = 0) -> bool:
    """Whether no epoch is left when so many more have ended."""
    return 0 < (trainer.max_epochs or 0) <= trainer.current_epoch + more
