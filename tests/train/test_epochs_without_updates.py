"""An epoch in which no group has contrast makes no update, and is kept all the same."""

import signal
from collections.abc import Iterable
from datetime import timedelta

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer

from p2o.running.checkpointing import StepCheckpoint
from p2o.running.preemption import Preempted


class SecondEpochAlone:
    """Batches in the second epoch, and none that is trained on in the others."""

    def __init__(self, module: LightningModule) -> None:
        self.module = module

    def __len__(self) -> int:
        return 2

    def __iter__(self):
        return iter([0 if self.module.current_epoch == 1 else None] * 2)


class Learning(LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))

    def training_step(self, batch):
        return self.weight.sum()

    def train_dataloader(self) -> Iterable[int | None]:
        return SecondEpochAlone(self)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def kept_after(epochs: int, folder) -> list[str]:
    checkpoint = StepCheckpoint(
        dirpath=folder,
        filename="epoch_{epoch:04d}",
        auto_insert_metric_name=False,
        monitor="step",
        mode="max",
        save_top_k=3,
        save_last="link",
        save_on_train_epoch_end=True,
        enable_version_counter=False,
    )
    trainer = Trainer(
        max_epochs=epochs,
        callbacks=[checkpoint],
        logger=False,
        accelerator="cpu",
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(Learning())
    assert trainer.global_step == (2 if epochs > 1 else 0)
    last = torch.load(folder / "last.ckpt", weights_only=True)
    assert last["epoch"] == epochs - 1
    return sorted(path.stem for path in folder.iterdir())


def test_a_first_epoch_without_an_update_has_a_checkpoint(tmp_path):
    assert kept_after(1, tmp_path) == ["epoch_0000", "last"]


def test_of_epochs_without_an_update_the_newest_are_kept(tmp_path):
    assert kept_after(6, tmp_path) == ["epoch_0003", "epoch_0004", "epoch_0005", "last"]


class Dead:
    """Batches none of which is trained on; a signal may come while one is sampled."""

    def __init__(self, stopped_at: int | None) -> None:
        self.stopped_at = stopped_at

    def __len__(self) -> int:
        return 4

    def __iter__(self):
        for index in range(4):
            if index == self.stopped_at:
                raise Preempted(signal.SIGTERM)
            yield None


class NeverLearning(Learning):
    def __init__(self, stopped_at: int | None = None) -> None:
        super().__init__()
        self.stopped_at = stopped_at

    def train_dataloader(self) -> Iterable[int | None]:
        return Dead(self.stopped_at)


def fit(checkpoint: StepCheckpoint, module: LightningModule) -> None:
    trainer = Trainer(
        max_epochs=1,
        callbacks=[checkpoint],
        logger=False,
        accelerator="cpu",
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(module)


def batches_in(path) -> int:
    loops = torch.load(path, weights_only=True)["loops"]["fit_loop"]
    return loops["epoch_loop.batch_progress"]["current"]["completed"]


@pytest.mark.parametrize("stopped_at", [1, 3])
def test_a_signal_among_batches_without_an_update_saves_what_was_sampled(tmp_path, stopped_at):
    checkpoint = StepCheckpoint(dirpath=tmp_path, filename="end", save_on_exception=True)
    with pytest.raises(Preempted):
        fit(checkpoint, NeverLearning(stopped_at))
    assert batches_in(tmp_path / "end.ckpt") == stopped_at


def test_before_the_first_batch_there_is_nothing_to_save(tmp_path):
    checkpoint = StepCheckpoint(dirpath=tmp_path, filename="end", save_on_exception=True)
    with pytest.raises(Preempted):
        fit(checkpoint, NeverLearning(stopped_at=0))
    assert not list(tmp_path.iterdir())


def test_a_checkpoint_of_every_so_many_minutes_is_written_without_an_update_too(tmp_path):
    often = StepCheckpoint(
        dirpath=tmp_path,
        filename="recent",
        train_time_interval=timedelta(0),
        enable_version_counter=False,
    )
    fit(often, NeverLearning())
    # After the last batch the epoch's end comes first. Lightning counts a batch after its hooks.
    assert batches_in(tmp_path / "recent.ckpt") == 2
