"""Rotary frequencies that a model chooses by the longest sample of a pass."""

from collections.abc import Iterator, Mapping
from typing import Any

from torch import nn


def steady_length(model: nn.Module) -> int | None:
    """The longest sample up to which rotary frequencies are the same in every pass, in tokens.

    A longer one changes them for all samples of its pass: with ``longrope`` for others, made for
    long texts, with ``dynamic`` by its length.

    Args:
        model: Of transformers.

    Returns:
        None for a model whose frequencies never change.
    """
    return min((length for module in model.modules() for length in _lengths(module)), default=None)


def _lengths(module: Any) -> Iterator[int]:
    """The same of one rotary embedding; one that differs by layers has several, others none."""
    kinds = getattr(module, "rope_type", "")
    for layers, kind in kinds.items() if isinstance(kinds, Mapping) else [(None, kinds)]:
        if kind == "longrope":
            parameters = module.config.rope_parameters
            own = parameters if layers is None else parameters[layers]
            yield own["original_max_position_embeddings"]
        elif kind == "dynamic":
            # As many tokens as were trained on keep the frequencies of a longer pass before.
            yield module.original_max_seq_len - 1
