"""Whether a run ends with the batch at hand, or has ended before."""

from typing import Any

from lightning.pytorch import Trainer

from p2o_callbacks.spending_budget import SpendingBudget


def is_over(trainer: Trainer) -> bool:
    """Whether no rollout will follow this batch; collective, where a budget's counter is."""
    # A budget may stand later in the list, and has not asked the trainer to stop yet.
    spent = any(budget.is_spent(trainer) for budget in _budgets(trainer))
    last_batch = trainer.is_last_batch and _epochs_are_done(trainer, 1)
    return spent or last_batch or _is_stopped(trainer)


def has_ended(trainer: Trainer) -> bool:
    """Whether no batch will be begun; collective, where a budget's counter is."""
    ended = any(budget.has_ended(trainer) for budget in _budgets(trainer))
    return ended or _is_stopped(trainer)


def _is_stopped(trainer: Trainer) -> bool:
    last_step = 0 < trainer.max_steps <= trainer.global_step
    return trainer.should_stop or last_step or _epochs_are_done(trainer)


def _budgets(trainer: Trainer) -> list[SpendingBudget]:
    callbacks: list[Any] = trainer.callbacks  # type: ignore[attr-defined]
    return [each for each in callbacks if isinstance(each, SpendingBudget)]


def _epochs_are_done(trainer: Trainer, more: int = 0) -> bool:
    """Whether no epoch is left when so many more have ended."""
    return 0 < (trainer.max_epochs or 0) <= trainer.current_epoch + more
