"""A run goes on as the run that it was, or says what is another."""

from pathlib import Path
from typing import Any

import pytest
import torch
from hydra import compose, initialize_config_dir
from lightning.pytorch import LightningModule, Trainer
from torch import nn
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import DataLoader

from p2o.cli.going_on import find_checkpoint, settings_of
from p2o.configuration.build import conf_directory
from p2o.errors import UserError
from p2o.running.checkpointing import AtomicCheckpointIO
from p2o.running.frozen import FROZEN, frozen_checksum
from p2o.running.resuming import RECORD, KeptSettings, check_fit
from tests.quick import first_quick


def configured(*overrides: str) -> Any:
    with initialize_config_dir(version_base="1.3", config_dir=str(conf_directory())):
        return compose("train", overrides=list(overrides))


def write(folder: Path, *overrides: str, within_epoch: bool = False) -> None:
    epochs = {"ready": 2, "started": 2, "processed": 1 if within_epoch else 2, "completed": 1}
    content = {
        "global_step": 3,
        "RolloutDataModule": {},
        "loops": {"fit_loop": {"epoch_progress": {"current": epochs}}},
        "state_dict": {"weight": torch.ones(3, 4)},
        RECORD: settings_of(configured(*overrides)),
    }
    AtomicCheckpointIO().save_checkpoint(content, folder / "checkpoints" / "one.ckpt")


def found(folder: Path, *overrides: str) -> Path | None:
    return find_checkpoint(configured("resume=auto", *overrides), folder)


FREE = (
    *("trainer.max_epochs=99", "trainer=ddp", "rollout.max_batch_size=3", "save_policy=null"),
    *(
        "callbacks.progress=null",
        "checkpoint.save_top_k=-1",
        "logger=tensorboard",
        "selection=last",
    ),
    *("module.pass_tokens=1024", "verifier_guard.max_error_share=0.5", "data_root=/elsewhere"),
)


def test_how_a_run_is_carried_out_may_change(tmp_path):
    write(tmp_path)
    assert found(tmp_path, *FREE) == tmp_path / "checkpoints" / "one.ckpt"


@pytest.mark.parametrize(
    ("change", "said"),
    first_quick(
        [
            ("data.group_size=4", "data.group_size was 6, is 4"),
            ("data.source.train=64", "data.source.train was 128, is 64"),
            ("data.batch=32", "data.batch was 16, is 32"),
            ("algorithm=dapo", "algorithm.sampling_rounds was 1, is"),
            (
                "distillation=no_crm",
                'distillation._target_ was "p2o.distillation.Tapered", is '
                '"p2o.distillation.ContextDistillation"',
            ),
            (
                "model=digits_decisive",
                'model.path was "embedded:digits", is "embedded:digits_decisive"',
            ),
            ("optimizer.lr=0.5", "optimizer.lr was 0.0002, is 0.5"),
            ("seed=7", "seed was 0, is 7"),
            ("verifier=exact", 'verifier._target_ was "p2o.verifiers'),
            (
                "evolution=none",
                'evolution.callback._target_ was "p2o_callbacks.PromptEvolution", is not',
            ),
            ("trainer.accumulate_grad_batches=4", "trainer.accumulate_grad_batches was 1, is 4"),
            ("sampling.train.temperature=0.5", "sampling.train.temperature was 1.0, is 0.5"),
        ]
    ),
)
def test_what_makes_it_another_run_is_named_and_refused_unless_it_is_meant(
    tmp_path, caplog, change, said
):
    write(tmp_path)
    with pytest.raises(UserError, match="one.ckpt: written with other settings") as refused:
        found(tmp_path, change)
    assert said in str(refused.value)
    assert "resume_changed=true" in str(refused.value)
    assert found(tmp_path, change, "resume_changed=true") is not None
    assert any("going on with other settings: " in message for message in caplog.messages)


@pytest.mark.parametrize(
    "change", first_quick(["data.batch=32", "data.group_size=4", "data.source.train=64"])
)
def test_batches_cannot_change_within_an_epoch(tmp_path, change):
    write(tmp_path, within_epoch=True)
    assert found(tmp_path, "optimizer.lr=0.5", "resume_changed=true") is not None
    with pytest.raises(UserError, match="it can change only from the end of an epoch on"):
        found(tmp_path, change, "resume_changed=true")


@pytest.mark.slow
def test_an_optimiser_s_state_is_not_given_to_another(tmp_path):
    write(tmp_path)
    with pytest.raises(
        UserError, match="optimizer._target_ was .*; its state cannot be taken over"
    ):
        found(tmp_path, "optimizer=sgd", "resume_changed=true")


def test_keys_of_services_are_not_written_down():
    settings = settings_of(
        configured(
            *("verifier=http_service", "verifier.url=http://user:word@host/", "reflection=teacher"),
            *(
                "+verifier.headers.Authorization=Bearer sk-1",
                "reflection.base_url=http://host/sk-2",
            ),
            *("reflection.model=big", "+reflection.api_key=sk-3"),
        )
    )
    assert settings["reflection.model"] == '"big"'
    for secret in ("sk-", "word"):
        assert not any(secret in f"{key}{value}" for key, value in settings.items())


@pytest.mark.parametrize(
    ("module", "said"),
    [
        (nn.Linear(4, 2, bias=False), r"weight is \[3, 4\] there and \[2, 4\] in this one"),
        (nn.Linear(4, 3), r"bias is missing there and \[3\] in this one"),
    ],
)
def test_weights_of_another_model_are_named(tmp_path, module, said):
    write(tmp_path)
    path = tmp_path / "checkpoints" / "one.ckpt"
    check_fit(path, nn.Linear(4, 3, bias=False))
    with pytest.raises(UserError, match=said):
        check_fit(path, module)


def test_weights_that_are_not_trained_are_those_that_it_was_trained_with(tmp_path):
    """A checkpoint does not hold them."""
    layer: Any = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))
    layer[0].requires_grad_(False)
    trained = {name: value for name, value in layer.state_dict().items() if name[0] == "1"}
    base = frozen_checksum(layer)
    content = {"global_step": 3, "RolloutDataModule": {}, "state_dict": trained, FROZEN: base}
    path = tmp_path / "one.ckpt"
    AtomicCheckpointIO().save_checkpoint(content, path)
    check_fit(path, layer, base)
    with torch.no_grad():
        layer[0].bias[1] += 1e-3
    with pytest.raises(
        UserError, match="one.ckpt: trained on top of other weights than the model's"
    ):
        check_fit(path, layer, frozen_checksum(layer))
    with pytest.raises(UserError, match=r"of another model: 0.bias is missing there and \[2\]"):
        check_fit(path, layer.requires_grad_(True))


class Trained(LightningModule):
    """Two updates an epoch, at a rate that falls from its start to nothing in eight updates."""

    def __init__(self, rate: float, scheduled: bool) -> None:
        super().__init__()
        self.layer, self.rate, self.scheduled = nn.Linear(2, 1), rate, scheduled
        self.rates: list[float] = []

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        [optimizer] = self.trainer.optimizers
        self.rates.append(optimizer.param_groups[0]["lr"])
        return self.layer(batch).sum()

    def train_dataloader(self) -> Any:
        return DataLoader(torch.ones(2, 2))  # type: ignore[arg-type]

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.AdamW(self.parameters(), lr=self.rate)
        scheduler = LambdaLR(optimizer, lambda step: 1 - step / 8)
        steps = {"scheduler": scheduler, "interval": "step"}
        return ([optimizer], [steps]) if self.scheduled else optimizer


def trained(
    folder: Path, rate: float, scheduled: bool, renew: bool, epochs: int, start=None
) -> Any:
    module = Trained(rate, scheduled)
    trainer = Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[KeptSettings({"optimizer.lr": str(rate)}, renew)],
    )
    trainer.fit(module, ckpt_path=start, weights_only=True)
    trainer.save_checkpoint(folder / "end.ckpt")
    return module.rates


@pytest.mark.parametrize(
    ("scheduled", "renew", "expected"),
    [
        (False, False, [1.0, 1.0]),
        (False, True, [0.5, 0.5]),
        (True, False, [0.75, 0.625]),
        (True, True, [0.375, 0.3125]),
    ],
)
def test_a_new_learning_rate_takes_effect_when_it_is_meant(tmp_path, scheduled, renew, expected):
    trained(tmp_path, 1.0, scheduled, False, epochs=1)
    saved = torch.load(tmp_path / "end.ckpt", weights_only=True)
    assert saved[RECORD] == {"optimizer.lr": "1.0"}
    rates = trained(tmp_path, 0.5, scheduled, renew, epochs=2, start=tmp_path / "end.ckpt")
    assert rates == pytest.approx(expected)
