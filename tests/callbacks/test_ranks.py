"""Two ranks of a foreign project, over gloo, end with one hard set or with one line."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.patience import HANGS

pytestmark = [pytest.mark.slow, pytest.mark.multirank]

PROJECT = """
import json
import sys

import torch
from lightning.pytorch import LightningDataModule, LightningModule, Trainer
from torch.utils.data import DataLoader

from p2o_callbacks import (
    GroupOutcome, HardSampleMiner, PromptEvolution, PromptPool, TemplateList, TemplateTrial,
)

ranks, told, trials, order = int(sys.argv[1]), *sys.argv[2:]
NAMES = [f"sample-{number:02}" for number in range(45)]


class Data(LightningDataModule):
    group_size = 4

    def __init__(self):
        super().__init__()
        self.observers, self.pool = [], PromptPool()

    def add_group_observer(self, observer):
        self.observers.append(observer)

    def evaluate_templates(self, pairs, seed):
        def solved(name, text):
            return bool(text) and (trials == "equal" or self.trainer.global_rank == 0)

        return [TemplateTrial(float(solved(*p)), solved(*p), p[0], "", "") for p in pairs]

    def publish_pool(self, pool):
        self.pool = pool

    def train_dataloader(self):
        return DataLoader(torch.arange(len(NAMES)), batch_size=3)


class Module(LightningModule):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def training_step(self, batch, index):
        data = self.trainer.datamodule
        numbers = self.all_gather(batch).flatten() if told == "all" else batch
        groups = []
        for number in numbers.tolist():
            # Two of three are hard, as long as they have no template.
            hard = number % 3 > 0 and not data.pool.text_for(NAMES[number], 0)
            right = (not hard,) * data.group_size
            groups.append(GroupOutcome(NAMES[number], tuple(map(float, right)), right))
        for observer in data.observers:
            observer(groups)
        return self.weight.sum()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class Miner(HardSampleMiner):
    def __init__(self):
        super().__init__()
        self.sets, self.states = [], []

    def on_train_batch_end(self, *arguments):
        super().on_train_batch_end(*arguments)
        self.states.append(self.state_dict())

    def on_train_epoch_end(self, *arguments):
        super().on_train_epoch_end(*arguments)
        self.sets.append(self.hard_set)


class Noting(TemplateList):
    # Notes for whom it searched, and finds nothing.

    def __init__(self):
        super().__init__(["Think."])
        self.searched = []

    def evolve(self, hard_set, evaluate, **named):
        self.searched.append(list(hard_set))
        return super().evolve([], evaluate, **named)


miner, callbacks = Miner(), [PromptEvolution(TemplateList(["Think."]))]
noting = Noting()
if order != "epochs":
    callbacks = [PromptEvolution(noting, every_n_steps=3)]
callbacks.insert(order == "behind", miner)
trainer = Trainer(
    accelerator="cpu",
    devices=ranks,
    strategy="ddp" if ranks > 1 else "auto",
    max_epochs=2,
    callbacks=callbacks,
    logger=False,
    enable_checkpointing=False,
    enable_progress_bar=False,
    enable_model_summary=False,
)
trainer.fit(Module(), datamodule=Data())
with open(f"rank_{trainer.global_rank}.json", "w") as file:
    json.dump([miner.sets, miner.states, noting.searched], file)
"""


def start(
    folder: Path, ranks: int, told: str, trials: str, order: str
) -> subprocess.CompletedProcess[str]:
    script = folder / "project.py"
    script.write_text(PROJECT)
    root = Path(__file__).parents[2]
    return subprocess.run(
        [sys.executable, script, str(ranks), told, trials, order],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(root / "callbacks")},
        capture_output=True,
        text=True,
        timeout=HANGS,
    )


def hard_sets(folder: Path, ranks: int, told: str, order: str = "epochs"):
    folder.mkdir()
    done = start(folder, ranks, told, "equal", order)
    assert done.returncode == 0, done.stderr[-3000:]
    # Lightning would warn of metrics that it has to take for those of one rank.
    assert "sync_dist" not in done.stderr
    return [json.loads((folder / f"rank_{rank}.json").read_text()) for rank in range(ranks)]


@pytest.mark.parametrize("told", ["own", "all"])
def test_ranks_have_the_hard_set_of_one_whatever_groups_they_are_told_of(tmp_path, told):
    [(alone, *_)] = hard_sets(tmp_path / "one", 1, told)
    assert list(map(len, alone)) == [30, 0]
    (first, states, _), (second, other_states, _) = hard_sets(tmp_path / "two", 2, told)
    assert first == second == alone
    # The checkpoint holds what rank 0 knows, whenever it is written.
    assert states == other_states
    # A sampler for two ranks repeats a sample of an odd number; nothing else is counted twice.
    assert max(state["groups"] for state in states) == 46


def test_a_search_within_an_epoch_sees_the_last_batch_wherever_the_miner_stands(tmp_path):
    found = [hard_sets(tmp_path / order, 2, "own", order) for order in ("before", "behind")]
    [[before, other], [behind, _]] = [[searched for *_, searched in ranks] for ranks in found]
    assert before == other == behind
    # Three batches of six, in an order of their own.
    assert 0 < len(before[0]) < 18


def test_a_search_that_ranks_see_differently_ends_the_run_with_one_line(tmp_path):
    done = start(tmp_path, 2, "own", "unequal", "epochs")
    assert done.returncode != 0
    assert "the search found another pool on rank 1 than on rank 0" in done.stderr
