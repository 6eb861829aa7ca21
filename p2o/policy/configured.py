"""The policy that a configuration asks for."""

from collections.abc import Mapping
from typing import Any

from transformers import PreTrainedTokenizerBase

from p2o.configuration.build import build, call
from p2o.policy.models import limit_threads, load_policy


def configured_policy(settings: Mapping[Any, Any]) -> tuple[Any, PreTrainedTokenizerBase]:
    """A model, with its adapter if it has one, and its tokenizer.

    Args:
        settings: The section ``model``, the adapter as a node that is still to be built.

    Raises:
        UserError: The policy cannot be had.
    """
    adapter = build(settings.get("adapter"), "model.adapter")
    model, tokenizer = call(load_policy, "model", **{**settings, "adapter": adapter})
    limit_threads(model)
    return model, tokenizer
