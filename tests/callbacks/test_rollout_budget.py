from typing import Any

import pytest
from lightning.pytorch import Callback, LightningDataModule
from lightning.pytorch.callbacks import ModelCheckpoint
from torch.utils.data import DataLoader

from p2o_callbacks import ConfigurationError, HardSampleMiner, PromptEvolution, RolloutBudget
from tests.callbacks.conftest import ForeignData, OneTemplate

ROLLOUTS_A_STEP = 24


@pytest.mark.parametrize(
    ("budget", "steps"), [(1, 1), (24, 1), (25, 2), (72, 3), (73, 4), (100, 5), (240, 10)]
)
def test_training_stops_at_the_first_update_that_reaches_the_budget(project, budget, steps):
    trainer, data = project.fit([RolloutBudget(budget)], epochs=-1)
    assert trainer.global_step == steps
    assert data.training_rollouts == steps * ROLLOUTS_A_STEP


def test_a_budget_that_is_not_reached_changes_nothing(project):
    trainer, _ = project.fit([RolloutBudget(10_000)], epochs=2)
    assert trainer.global_step == 6


@pytest.mark.parametrize(
    ("accumulate", "budget", "batches", "steps"), [(2, 1, 2, 1), (4, 1, 3, 1), (2, 49, 3, 2)]
)
def test_an_update_that_the_budget_is_reached_within_is_made(
    project, accumulate, budget, batches, steps
):
    trainer, data = project.fit(
        [RolloutBudget(budget)], epochs=-1, accumulate_grad_batches=accumulate
    )
    assert (len(data.used), trainer.global_step) == (batches, steps)
    assert trainer.lightning_module.weight.item() < 0


def test_a_run_whose_batches_make_no_update_ends_all_the_same(project):
    class Dead(project.Data):
        def train_dataloader(self) -> Any:
            data = self

            class Loader:
                def __len__(self):
                    return 3

                def __iter__(self):
                    for _ in range(3):
                        data.roll_out()
                        yield None

            return Loader()

    trainer, data = project.fit(
        [RolloutBudget(1)], epochs=-1, data=Dead(), accumulate_grad_batches=2
    )
    assert (len(data.used), trainer.global_step) == (2, 0)


def test_a_train_dataloader_can_be_what_counts(project):
    trainer, loader = project.fit([RolloutBudget(25)], epochs=-1, data=project.Loader())
    assert trainer.global_step == 2
    assert loader.training_rollouts == 2 * ROLLOUTS_A_STEP


def test_a_train_dataloader_that_does_not_count_is_refused_before_training(project):
    with pytest.raises(TypeError, match="RolloutBudget needs .* training_rollouts "):
        project.fit([RolloutBudget(1)], data=DataLoader([0]))  # type: ignore[arg-type]


def test_rollouts_of_the_search_count(project):
    class Data(project.Data):
        def evaluate_templates(self, pairs, seed):
            self.training_rollouts += len(pairs)
            return super().evaluate_templates(pairs, seed)

    def steps(*callbacks):
        budget = RolloutBudget(4 * ROLLOUTS_A_STEP + 1)
        return project.fit([*callbacks, budget], epochs=-1, data=Data())[0].global_step

    assert steps() == 5
    assert steps(HardSampleMiner(), PromptEvolution(project.Evolver())) == 4


class Counted(ForeignData):
    """Goes on counting where a checkpoint has stopped."""

    def state_dict(self):
        return {"training_rollouts": self.training_rollouts}

    def load_state_dict(self, state_dict):
        self.training_rollouts = state_dict["training_rollouts"]


@pytest.mark.parametrize("place", [0, 2], ids=["before", "behind"])
@pytest.mark.parametrize("steps", [2, 3], ids=["within an epoch", "with its last batch"])
@pytest.mark.parametrize("search", [{}, {"every_n_steps": 2}, {"every_n_steps": 3}])
def test_a_spent_budget_pays_for_nothing_when_the_run_is_started_again(
    project, place, steps, search
):
    class Broken(OneTemplate):
        def evolve(self, hard_set, evaluate, **options):
            raise RuntimeError("no search is to be made")

    def fit(budget, evolver, **options):
        callbacks: list[Callback] = [HardSampleMiner(), PromptEvolution(evolver, **search)]
        callbacks.insert(place, RolloutBudget(budget))
        saver = ModelCheckpoint(project.folder, "{step}", every_n_train_steps=1, save_top_k=-1)
        more = {"epochs": -1, "data": Counted(), "enable_checkpointing": True, **options}
        return project.fit([*callbacks, saver], **more)

    spent = steps * ROLLOUTS_A_STEP
    fit(spent, OneTemplate())
    kept = project.folder / f"step={steps}.ckpt"
    trainer, data = fit(spent, Broken(), checkpoint=kept)
    assert (trainer.global_step, data.used) == (steps, [])
    with pytest.raises(RuntimeError, match="no search is to be made"):
        fit(9 * spent, Broken(), checkpoint=kept)


def test_what_was_rolled_out_before_a_stop_is_learned_though_the_budget_is_spent(project):
    """The stop came between the rollouts that spent the budget and their update."""
    data = Counted()
    data.training_rollouts = 2 * ROLLOUTS_A_STEP
    trainer, _ = project.fit([RolloutBudget(2 * ROLLOUTS_A_STEP)], epochs=-1, data=data)
    assert trainer.global_step == 1


def test_an_epoch_cut_short_is_closed_all_the_same(project):
    miner = HardSampleMiner()
    project.fit([miner, RolloutBudget(1)], epochs=-1)
    assert miner.hard_set == project.hard


def test_a_project_that_does_not_count_is_refused_before_training(project):
    class Bare(LightningDataModule):
        def train_dataloader(self):
            raise AssertionError("must be refused before any data is asked for")

    with pytest.raises(TypeError, match="RolloutBudget needs .* training_rollouts "):
        project.fit([RolloutBudget(1)], data=Bare())


@pytest.mark.parametrize("budget", [0, -5])
def test_a_budget_that_means_nothing_is_refused(budget):
    with pytest.raises(ConfigurationError, match=f"max_rollouts={budget}: "):
        RolloutBudget(budget)
