"""A run in this process, for tests that look inside."""

from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, open_dict

from p2o.cli.train import train
from p2o.configuration.build import CONFIG_NAME, conf_directory


@pytest.fixture
def composed(tmp_path, monkeypatch):
    """Compose a run in this process; returns its configuration and its folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("PL_GLOBAL_SEED", "0")
    precision = torch.get_float32_matmul_precision()

    def make(*overrides: str) -> tuple[DictConfig, Path]:
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
        return config, folder

    yield make
    GlobalHydra.instance().clear()
    HydraConfig.instance().cfg = None
    torch.set_float32_matmul_precision(precision)


@pytest.fixture
def train_here(composed):
    """Compose and train in this process; returns the run directory."""

    def run(*overrides: str) -> Path:
        config, folder = composed(*overrides)
        train(config)
        return folder

    return run
