"""A run in this process, for tests that look inside."""

from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import open_dict

from p2o.config import CONFIG_NAME, conf_directory
from p2o.train import train


@pytest.fixture
def train_here(tmp_path, monkeypatch):
    """Compose and train in this process; returns the run directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("PL_GLOBAL_SEED", "0")
    precision = torch.get_float32_matmul_precision()

    def run(*overrides: str) -> Path:
        folder = tmp_path / "run"
        folder.mkdir()
        with initialize_config_dir(version_base="1.3", config_dir=str(conf_directory())):
            config = compose(
                CONFIG_NAME,
                overrides=[*overrides, f"hydra.runtime.output_dir={folder}"],
                return_hydra_config=True,
            )
            HydraConfig.instance().set_config(config)
            with open_dict(config):
                del config.hydra
            train(config)
        return folder

    yield run
    GlobalHydra.instance().clear()
    HydraConfig.instance().cfg = None
    torch.set_float32_matmul_precision(precision)
