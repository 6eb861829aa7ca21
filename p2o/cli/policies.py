"""The policy that a configuration asks for, before its training and after it."""

from collections.abc import Mapping
from typing import Any

from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException
from transformers import PreTrainedTokenizerBase

from p2o.configuration.build import build, call
from p2o.errors import UserError
from p2o.export.run_directory import hydra_as, locate_model
from p2o.export.weights import CheckpointWeights
from p2o.policy.adapters import merge_adapter
from p2o.policy.models import limit_threads, load_policy
from p2o.running.counted import told_if_slow


def configured_policy(settings: Mapping[Any, Any]) -> tuple[Any, PreTrainedTokenizerBase]:
    """A model, with its adapter if it has one, and its tokenizer.

    Args:
        settings: The section ``model``, the adapter as a node that is still to be built.

    Raises:
        UserError: The policy cannot be had.
    """
    adapter = build(settings.get("adapter"), "model.adapter")
    with told_if_slow(f"loading {settings['path']}"):
        model, tokenizer = call(load_policy, "model", **{**settings, "adapter": adapter})
    limit_threads(model)
    return model, tokenizer


def trained_policy(
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
