"""A GPU that is asked for and is not there is told at once, and only where the run will be."""

import pytest
from lightning.pytorch.accelerators import CUDAAccelerator, MPSAccelerator
from omegaconf import open_dict

from p2o.cli.train import _inspect, train
from p2o.errors import UserError

LINE = "trainer.accelerator=gpu: there is none here; add trainer=cpu for a small model"


@pytest.fixture(autouse=True)
def no_gpu(monkeypatch):
    for each in (CUDAAccelerator, MPSAccelerator):
        monkeypatch.setattr(each, "is_available", lambda: False)


@pytest.mark.parametrize(
    "choices",
    [
        ["trainer=gpu"],
        ["experiment=own_file", "data.source.path=rows.jsonl", "verifier.path=mine.py:reward"],
    ],
)
def test_a_run_is_refused_with_the_way_out(composed, choices):
    config, _ = composed(*choices)
    with pytest.raises(UserError, match=LINE):
        train(config)


@pytest.mark.parametrize("launcher", ["basic", "joblib", "submitit_local"])
def test_a_sweep_is_refused_where_its_jobs_would_run(composed, launcher):
    config, _ = composed("trainer=gpu", f"hydra/launcher={launcher}")
    with pytest.raises(UserError, match=LINE):
        _inspect(config)


@pytest.mark.parametrize("trainer", ["gpu", "fsdp2"])
def test_jobs_for_other_machines_may_ask_for_what_this_one_lacks(composed, trainer):
    asked = (f"trainer={trainer}", "trainer.accelerator=gpu", "trainer.devices=1")
    config, _ = composed("hydra/launcher=submitit_slurm", *asked)
    _inspect(config)
    assert config.trainer.accelerator == "gpu"
    # What is wrong wherever it runs is still told before anything is sent off.
    with open_dict(config):
        config.trainer.min_epochs = "many"
    with pytest.raises(UserError, match="trainer.min_epochs"):
        _inspect(config)
