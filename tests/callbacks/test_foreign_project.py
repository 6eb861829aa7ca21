"""The callbacks in a project that has nothing to do with p2o."""

import io
import subprocess
import sys

import pytest
import torch
from lightning.pytorch import Callback, LightningDataModule, LightningModule, Trainer
from torch.utils.data import DataLoader

import p2o_callbacks
from p2o_callbacks import (
    Evolution,
    GroupOutcome,
    HardSampleMiner,
    LoopProgress,
    PromptEvolution,
    PromptPool,
    RolloutBudget,
    Template,
    TemplateTrial,
)

SAMPLES = [f"sample-{number}" for number in range(6)]


class ForeignModule(LightningModule):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def training_step(self, batch, batch_index):
        self.trainer.datamodule.roll_out()  # type: ignore[attr-defined]
        return self.weight.sum()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class ForeignData(LightningDataModule):
    """Three steps an epoch; the first three samples are solved with a template only."""

    group_size = 4

    def __init__(self):
        super().__init__()
        self.observers, self.pools, self.trials, self.training_rollouts = [], [], [], 0

    def train_dataloader(self):
        return DataLoader(torch.arange(3))  # type: ignore[arg-type]

    def add_group_observer(self, observer):
        self.observers.append(observer)

    def publish_pool(self, pool):
        self.pools.append(pool)

    def evaluate_templates(self, pairs, seed):
        self.trials.append((list(pairs), seed))
        return [TemplateTrial(float(bool(text)), name, "", "") for name, text in pairs]

    def roll_out(self):
        outcomes = []
        for number, name in enumerate(SAMPLES):
            helped = bool(self.pools and self.pools[-1].text_for(name, 0))
            outcomes.append(GroupOutcome(name, (float(number > 2 or helped),) * 4))
        self.training_rollouts += 24
        for observer in self.observers:
            observer(outcomes)


class OneTemplate:
    """An evolver that tries one template and gives it to all."""

    def __init__(self):
        self.asked = []

    def evolve(self, hard_set, evaluate, *, group_size, seed, report):
        self.asked.append((list(hard_set), group_size, seed))
        if not hard_set:
            return Evolution(PromptPool())
        trials = evaluate([(name, "Think.") for name in hard_set])
        score = sum(trial.score for trial in trials) / len(trials)
        pool = PromptPool(
            (Template(""), Template("Think.", (0,), score)),
            (1,),
            {name: (1,) * group_size for name in hard_set},
        )
        return Evolution(pool, len(trials), 1)


def fit(folder, callbacks, epochs, checkpoint=None, data=None):
    data = data or ForeignData()
    trainer = Trainer(
        accelerator="cpu",
        max_epochs=epochs,
        callbacks=callbacks,
        default_root_dir=folder,
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
    )
    trainer.fit(ForeignModule(), datamodule=data, ckpt_path=checkpoint, weights_only=True)
    return trainer, data


def test_mining_and_evolution_take_turns(tmp_path):
    miner, evolver = HardSampleMiner(2), OneTemplate()
    _, data = fit(tmp_path, [miner, PromptEvolution(evolver, seed=7)], epochs=3)
    # Hard after epoch 1, solved with the template in epoch 2, bare and hard again in epoch 3.
    assert [asked[0] for asked in evolver.asked] == [SAMPLES[:3], []]
    assert {asked[1] for asked in evolver.asked} == {4}
    assert [len(pool.assignment) for pool in data.pools] == [0, 3, 0]
    assert miner.hard_set == SAMPLES[:3]
    files = sorted(path.name for path in (tmp_path / "evolution").iterdir())
    assert files == ["epoch_0001.json", "epoch_0002.json"]


def test_a_run_that_is_over_pays_for_no_search(tmp_path):
    evolver = OneTemplate()
    fit(tmp_path, [HardSampleMiner(), PromptEvolution(evolver)], epochs=1)
    assert evolver.asked == []


def test_the_pool_lives_on_between_searches(tmp_path):
    evolver = OneTemplate()
    callbacks = [HardSampleMiner(), PromptEvolution(evolver, every_n_epochs=2)]
    _, data = fit(tmp_path, callbacks, epochs=5)
    assert len(evolver.asked) == 2
    assert [len(pool.assignment) for pool in data.pools] == [0, 0, 3, 3, 0]


def test_trials_get_seeds_that_do_not_repeat(tmp_path):
    _, data = fit(tmp_path, [HardSampleMiner(), PromptEvolution(OneTemplate())], epochs=4)
    seeds = [seed for _, seed in data.trials]
    assert len(seeds) == len(set(seeds)) > 1


def test_a_resumed_run_searches_for_the_hard_set_of_the_checkpoint(tmp_path):
    first = [HardSampleMiner(), PromptEvolution(OneTemplate())]
    trainer, _ = fit(tmp_path, first, epochs=1)
    trainer.save_checkpoint(tmp_path / "one.ckpt")
    whole = [HardSampleMiner(), PromptEvolution(OneTemplate())]
    fit(tmp_path, whole, epochs=2)
    rest = [HardSampleMiner(), PromptEvolution(OneTemplate())]
    fit(tmp_path, rest, epochs=2, checkpoint=tmp_path / "one.ckpt")
    assert rest[1].pool == whole[1].pool
    assert rest[1].pool.assignment
    assert [c.state_dict() for c in rest] == [c.state_dict() for c in whole]


def test_evolution_without_a_miner_before_it_is_refused(tmp_path):
    for callbacks in (
        [PromptEvolution(OneTemplate())],
        [PromptEvolution(OneTemplate()), HardSampleMiner()],
    ):
        with pytest.raises(TypeError, match="such as HardSampleMiner, before it"):
            fit(tmp_path, callbacks, epochs=1)


def test_a_datamodule_that_lacks_members_is_told_which(tmp_path):
    class Bare(LightningDataModule):
        def train_dataloader(self):
            return DataLoader(torch.arange(1))  # type: ignore[arg-type]

    with pytest.raises(TypeError, match="add_group_observer, group_size"):
        fit(tmp_path, [HardSampleMiner()], epochs=1, data=Bare())


def test_a_rollout_budget_ends_training(tmp_path):
    trainer, data = fit(tmp_path, [RolloutBudget(100)], epochs=50)
    assert data.training_rollouts == 120
    assert trainer.global_step == 5


def test_progress_is_a_line_for_each_epoch_and_search_when_nobody_watches(tmp_path, capsys):
    trainer = Trainer(
        accelerator="cpu",
        max_epochs=2,
        callbacks=[
            HardSampleMiner(),
            PromptEvolution(OneTemplate()),
            LoopProgress({"hard/size": "hard {:.0f}"}),
        ],
        default_root_dir=tmp_path,
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
    )
    trainer.fit(ForeignModule(), datamodule=ForeignData())
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith(("ep", "ev"))]
    assert lines == [
        "epoch 1/2  step 3  hard 3",
        "evolution  1 template for 3 hard samples",
        "epoch 2/2  step 6  hard 0",
    ]


STATEFUL = [HardSampleMiner(), PromptEvolution(OneTemplate())]


@pytest.mark.parametrize("callback", STATEFUL, ids=lambda callback: type(callback).__name__)
def test_states_are_not_empty_and_load_without_pickle(callback):
    file = io.BytesIO()
    torch.save(callback.state_dict(), file)
    file.seek(0)
    state = torch.load(file, weights_only=True)
    assert state
    callback.load_state_dict(state)
    assert callback.state_dict() == state


def test_every_callback_is_exported_with_a_docstring_that_shows_its_use():
    exported = [getattr(p2o_callbacks, name) for name in p2o_callbacks.__all__]
    callbacks = [c for c in exported if isinstance(c, type) and issubclass(c, Callback)]
    assert {c.__name__ for c in callbacks} == {
        "HardSampleMiner",
        "LoopProgress",
        "PromptEvolution",
        "RolloutBudget",
    }
    assert all("Args:" in (c.__doc__ or "") for c in callbacks)


def test_the_callbacks_import_nothing_of_p2o():
    program = """
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "p2o":
            raise AssertionError("p2o_callbacks imports " + name)
sys.meta_path.insert(0, Block())
import p2o_callbacks
assert "p2o" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True)
