import pytest
from lightning.pytorch import LightningDataModule

from p2o_callbacks import ConfigurationError, HardSampleMiner, PromptEvolution, RolloutBudget

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
