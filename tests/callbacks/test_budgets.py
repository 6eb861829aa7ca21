"""Budgets in other units than rollouts."""

import pytest
from lightning.pytorch import Callback, LightningDataModule

from p2o_callbacks import ConfigurationError, FlopsBudget, TimeBudget, TokenBudget


@pytest.fixture
def spending(project):
    """The project's data, of which each step takes 100 tokens, 3e9 operations and 2.5 seconds."""

    class Data(project.Data):
        steps = 0

        def roll_out(self):
            self.steps += 1
            return super().roll_out()

        @property
        def training_tokens(self):
            return 100 * self.steps

        @property
        def training_flops(self):
            return 3e9 * self.steps

        @property
        def training_seconds(self):
            return 2.5 * self.steps

    return Data


@pytest.mark.parametrize(
    ("budget", "steps"),
    [
        (TokenBudget(1), 1),
        (TokenBudget(100), 1),
        (TokenBudget(101), 2),
        (TokenBudget(450), 5),
        (FlopsBudget(6e9), 2),
        (FlopsBudget(6.1e9), 3),
        (TimeBudget(0.1), 1),
        (TimeBudget(5), 2),
        (TimeBudget(5.1), 3),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Callback) else str(value),
)
def test_training_stops_at_the_first_update_that_reaches_the_budget(
    project, spending, budget, steps
):
    trainer, data = project.fit([budget], epochs=-1, data=spending())
    assert trainer.global_step == steps
    assert budget.spent(trainer) == budget.limit


def test_what_is_spent_so_far_is_what_the_project_counts(project, spending):
    budget = TokenBudget(10_000)
    trainer, data = project.fit([budget], epochs=2, data=spending())
    assert budget.spent(trainer) == data.training_tokens < budget.limit


@pytest.mark.parametrize(
    ("budget", "member"),
    [
        (TokenBudget(1), "training_tokens"),
        (FlopsBudget(1), "training_flops"),
        (TimeBudget(1), "training_seconds"),
    ],
    ids=["tokens", "flops", "seconds"],
)
def test_a_project_that_does_not_count_is_refused_before_training(project, budget, member):
    class Bare(LightningDataModule):
        def train_dataloader(self):
            raise AssertionError("must be refused before any data is asked for")

    with pytest.raises(TypeError, match=f"{type(budget).__name__} needs .* {member} "):
        project.fit([budget], data=Bare())


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (TokenBudget, "max_tokens=0: .* tokens"),
        (FlopsBudget, "max_flops=0: .* operations"),
        (TimeBudget, "max_seconds=0: "),
    ],
)
def test_a_budget_that_means_nothing_is_refused(make, said):
    with pytest.raises(ConfigurationError, match=said):
        make(0)
