"""A project that has nothing to do with p2o, for the callbacks to work in."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, LightningDataModule, LightningModule, Trainer
from torch.utils.data import DataLoader

from p2o_callbacks import Evolution, GroupOutcome, PromptPool, Template, TemplateTrial

SAMPLES = [f"sample-{number}" for number in range(6)]
HARD = SAMPLES[:3]


class ForeignModule(LightningModule):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def training_step(self, batch, batch_index):
        project: Any = self.trainer.datamodule or self.trainer.train_dataloader  # type: ignore[attr-defined]
        project.roll_out()
        return self.weight.sum()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class Rollouts:
    """Six samples rolled out at every step; the first three are solved with a template only."""

    def __init__(self):
        self.group_size = 4
        self.observers, self.trials, self.training_rollouts = [], [], 0
        self.pool, self.used = PromptPool(), []
        self.hard, self.helps = HARD, True

    def add_group_observer(self, observer):
        self.observers.append(observer)

    def publish_pool(self, pool):
        self.pool = pool

    def evaluate_templates(self, pairs, seed):
        self.trials.append((list(pairs), seed))
        return [TemplateTrial(float(bool(text)), bool(text), name, "", "") for name, text in pairs]

    def roll_out(self):
        """Note which samples have a template, then tell observers how all of them fared."""
        helped = [name for name in SAMPLES if self.pool.text_for(name, 0)]
        self.used.append(helped)
        cured = helped if self.helps else []
        solved = {name: name not in self.hard or name in cured for name in SAMPLES}
        outcomes = [
            GroupOutcome(name, (float(right),) * self.group_size, (right,) * self.group_size)
            for name, right in solved.items()
        ]
        self.training_rollouts += len(SAMPLES) * self.group_size
        for observer in self.observers:
            observer(outcomes)


class ForeignData(LightningDataModule, Rollouts):
    """Three steps an epoch."""

    def __init__(self):
        LightningDataModule.__init__(self)
        Rollouts.__init__(self)

    def train_dataloader(self):
        return DataLoader(torch.arange(3))  # type: ignore[arg-type]


class ForeignLoader(Rollouts):
    """The same without a datamodule."""

    def __iter__(self):
        return iter(torch.arange(3))

    def __len__(self):
        return 3


class OneTemplate:
    """An evolver that tries one template and gives it to all hard samples."""

    def __init__(self):
        self.asked, self.dealt = [], []

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

    def deal(self, pool, hard_set, *, group_size, seed):
        self.dealt.append((list(pool.assignment), list(hard_set), group_size, seed))
        return {name: (1,) * group_size for name in hard_set}


class ForeignProject:
    """Makes the parts and fits them."""

    samples, hard = SAMPLES, HARD
    Module, Data, Loader, Evolver = ForeignModule, ForeignData, ForeignLoader, OneTemplate

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def trainer(self, callbacks: Sequence[Callback], epochs: int = 1, **options: Any) -> Trainer:
        return Trainer(
            **{
                "accelerator": "cpu",
                "max_epochs": epochs,
                "callbacks": list(callbacks),
                "default_root_dir": self.folder,
                "logger": False,
                "enable_checkpointing": False,
                "enable_model_summary": False,
                "enable_progress_bar": False,
                **options,
            }
        )

    def fit(
        self,
        callbacks: Sequence[Callback],
        epochs: int = 1,
        *,
        data: Any = None,
        checkpoint: Path | None = None,
        **options: Any,
    ) -> tuple[Trainer, Any]:
        data = ForeignData() if data is None else data
        trainer = self.trainer(callbacks, epochs, **options)
        kind = "datamodule" if isinstance(data, LightningDataModule) else "train_dataloaders"
        trainer.fit(ForeignModule(), **{kind: data}, ckpt_path=checkpoint, weights_only=True)
        return trainer, data


@pytest.fixture
def project(tmp_path: Path) -> ForeignProject:
    return ForeignProject(tmp_path)
