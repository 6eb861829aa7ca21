"""What a run directory of ``p2o-train`` says of itself."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import setup_globals
from omegaconf import DictConfig, OmegaConf

from p2o.errors import UserError


def read_config(run: Path) -> DictConfig:
    """The configuration of a run, as it was composed.

    Raises:
        UserError: This is no run directory.
    """
    path = run / ".hydra" / "config.yaml"
    if not path.is_file():
        why = "has no .hydra/config.yaml" if run.is_dir() else "is no folder"
        inside = sorted(str(found.parents[1]) for found in run.glob("*/.hydra/config.yaml"))
        hint = f"; {inside[-1]} is one" if inside else ""
        raise UserError(f"{run}: not a run directory of p2o-train ({why}){hint}")
    config = _read_yaml(path)
    raw: Any = OmegaConf.to_container(config)
    if not isinstance(raw.get("model"), dict) or not raw["model"].get("path"):
        raise UserError(f"{run}: not a run directory of p2o-train ({path} names no model)")
    return config


def read_hydra(run: Path) -> DictConfig:
    """What Hydra knew of the run; empty when it is not there."""
    path = run / ".hydra" / "hydra.yaml"
    return _read_yaml(path) if path.is_file() else OmegaConf.create({})


def _read_yaml(path: Path) -> DictConfig:
    try:
        content = OmegaConf.load(path)
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        raise UserError(f"{path}: cannot be read as yaml") from error
    if not isinstance(content, DictConfig):
        raise UserError(f"{path}: not a configuration; there are no keys in it")
    return content


@contextmanager
def hydra_as(hydra: DictConfig) -> Iterator[None]:
    """Let interpolations such as ``${hydra:runtime.cwd}`` lead where they led in the run."""
    setup_globals()
    instance: Any = HydraConfig.instance()
    before, instance.cfg = instance.cfg, hydra
    try:
        yield
    finally:
        instance.cfg = before


def locate_model(config: DictConfig, hydra: DictConfig) -> str:
    """The model's path; see `from_there`."""
    return from_there(config.model.path, hydra)


def from_there(path: str, hydra: DictConfig) -> str:
    """A path of a run's configuration; a relative one is meant from where the run was started.

    Args:
        path: Of a file, which may have the name of a function behind it: ``rewards.py:score``.
        hydra: See `read_hydra`.
    """
    there = Path(OmegaConf.select(hydra, "hydra.runtime.cwd") or ".")
    file, python, _ = path.partition(".py:")
    return str(there / path) if (there / (file + python.rstrip(":"))).exists() else path
