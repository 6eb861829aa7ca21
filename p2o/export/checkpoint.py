"""The policy of a run, as it was when a checkpoint was written."""

from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from p2o.errors import UserError
from p2o.export.run_directory import hydra_as, locate_model
from p2o.export.weights import CheckpointWeights
from p2o.policy.adapters import merge_adapter
from p2o.policy.configured import configured_policy


def find_checkpoint(run: Path, name: str) -> Path:
    """A checkpoint by its name in a run's folder, or by its path.

    Raises:
        UserError: There is none; names those there are.
    """
    folder = run / "checkpoints"
    for path in (folder / name, Path(name)):
        if path.exists():
            return path
    there = ", ".join(sorted(path.name for path in folder.glob("*.ckpt") if path.exists()))
    raise UserError(f"--checkpoint={name}: no such checkpoint; there are {there or 'none'}")


def load_model(
    config: DictConfig, hydra: DictConfig, weights: CheckpointWeights
) -> tuple[Any, Any]:
    """The policy of a run with the weights of a checkpoint, an adapter merged in; its tokenizer.

    Args:
        config: The run's.
        hydra: What Hydra knew of it.
        weights: Of the checkpoint.

    Raises:
        UserError: The model cannot be had, or is another one.
    """
    with hydra_as(hydra):
        try:
            settings = {**config.model, "path": locate_model(config, hydra)}
        except OmegaConfBaseException as error:
            raise UserError(f"model: {str(error).splitlines()[0]}") from error
        model, tokenizer = configured_policy(settings)
    weights.load_into(model)
    # Merged in the type of training, rounded by who wants it afterwards.
    return (merge_adapter(model) if hasattr(model, "merge_and_unload") else model), tokenizer
