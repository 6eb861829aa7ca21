"""A checkpoint ends with the last whole update, whatever broke off."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from torch.utils.data import DataLoader

from p2o.accounting.ledger import Ledger
from p2o.learning.final_evaluation import FinalEvaluation
from p2o.learning.updates import WholeUpdates, end_with_whole_update


def counts(ready: int, started: int, processed: int, completed: int) -> dict[str, int]:
    return {"ready": ready, "started": started, "processed": processed, "completed": completed}


@pytest.mark.parametrize(
    ("saved", "size", "expected"),
    [
        # After an update; the first steps of the epoch had no gradient, and were not started.
        (counts(8, 2, 8, 7), 2, counts(8, 8, 8, 7)),
        (counts(8, 8, 8, 7), 2, counts(8, 8, 8, 7)),
        # Between two updates.
        (counts(8, 8, 8, 8), 2, counts(8, 8, 8, 8)),
        # Within an update, before and after its step.
        (counts(7, 7, 6, 6), 2, counts(6, 6, 6, 6)),
        (counts(7, 7, 7, 6), 2, counts(6, 6, 6, 6)),
        (counts(8, 3, 7, 7), 2, counts(6, 6, 6, 6)),
        (counts(8, 8, 7, 7), 1, counts(7, 7, 7, 7)),
    ],
)
def test_progress_ends_with_the_last_whole_update(saved, size, expected):
    total = {name: 20 + value for name, value in saved.items()}
    total["started"] -= 5
    progress = {"current": dict(saved), "total": total, "is_last_batch": False}
    end_with_whole_update(progress, size)
    assert progress["current"] == expected
    assert progress["total"] == {name: 20 + value for name, value in expected.items()}


class Counted(LightningModule):
    """Four steps an epoch; notes each end of an epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.ended = torch.nn.Parameter(torch.zeros(1)), []

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        return self.weight.sum()

    def on_train_epoch_end(self) -> None:
        self.ended.append((self.current_epoch, self.trainer.global_step))

    def train_dataloader(self) -> Any:
        steps = [SimpleNamespace(tokens=1) for _ in range(4)]
        return DataLoader(steps, batch_size=None)  # type: ignore[arg-type]

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def test_with_a_number_of_steps_an_epoch_that_has_ended_does_not_end_again(tmp_path):
    found = []
    for start in (None, tmp_path / "epoch=0.ckpt"):
        module = Counted()
        Trainer(
            accelerator="cpu",
            max_steps=10,
            logger=False,
            callbacks=[WholeUpdates(Ledger()), ModelCheckpoint(tmp_path, "{epoch}", save_top_k=-1)],
            enable_progress_bar=False,
            enable_model_summary=False,
        ).fit(module, ckpt_path=start, weights_only=True)
        found.append((module.ended, module.weight.item()))
    (whole, weight), (resumed, again) = found
    assert whole == [(0, 4), (1, 8), (2, 10)]
    assert resumed == whole[1:]
    assert again == weight


@pytest.mark.parametrize(("ended", "go_on", "stays"), [(False, False, False), (True, False, True)])
def test_a_summary_goes_when_training_goes_on(tmp_path, ended, go_on, stays):
    """A run that has one has ended."""
    summary = tmp_path / "summary.json"
    summary.write_text("{}")
    final = FinalEvaluation(go_on, summary)
    final.load_state_dict({"ended": ended, "added": None})
    trainer: Any = SimpleNamespace(should_stop=False, is_global_zero=True)
    final.on_train_start(trainer, trainer)
    assert summary.exists() == stays
    assert final.trained != stays
