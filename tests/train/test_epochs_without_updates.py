"""An epoch in which no group has contrast makes no update, and is kept all the same."""

import torch
from lightning.pytorch import LightningModule, Trainer

from p2o.running.checkpointing import StepCheckpoint


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

    def train_dataloader(self):
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
