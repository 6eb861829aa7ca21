"""Whether a run ends with the batch at hand."""

from typing import Any

from lightning.pytorch import Trainer

from p2o_callbacks.spending_budget import SpendingBudget


def is_over(trainer: Trainer) -> bool:
    """Whether no rollout will follow this batch; collective, where a budget's counter is."""
    epochs = trainer.max_epochs or 0
    last_epoch = 0 < epochs <= trainer.current_epoch + 1
    last_step = 0 < trainer.max_steps <= trainer.global_step
    last = trainer.should_stop or last_step or (last_epoch and trainer.is_last_batch)
    # A budget may stand later in the list, and has not asked the trainer to stop yet.
    callbacks: list[Any] = trainer.callbacks  # type: ignore[attr-defined]
    budgets = [each for each in callbacks if isinstance(each, SpendingBudget)]
    return last or any(budget.is_spent(trainer) for budget in budgets)
