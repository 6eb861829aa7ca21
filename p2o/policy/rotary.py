"""Rotary frequencies that a model chooses by the longest sample of a pass."""

from collections.abc import Iterator, Mapping
from typing import Any

from torch import nn


def steady_length(model: nn.Module) -> int | None:
    """The longest sample up to which rotary frequencies are the same in every pass, in tokens.

    A longer one changes them for all samples of its pass: with ``longrope`` for others, made for
    long texts, with ``dynamic`` by its length; see `forget_longest` for what follows.

    Args:
        model: Of transformers.

    Returns:
        None for a model whose frequencies never change.
    """
    return min((length for module in model.modules() for length in _lengths(module)), default=None)


def _lengths(module: Any) -> Iterator[int]:
    """The same of one rotary embedding; one that differs by layers has several, others none."""
    for layers, kind in _kinds(module):
        if kind == "longrope":
            parameters = module.config.rope_parameters
            own = parameters if layers is None else parameters[layers]
            yield own["original_max_position_embeddings"]
        elif kind == "dynamic":
            yield module.original_max_seq_len


def forget_longest(model: nn.Module) -> None:
    """Let ``dynamic`` frequencies follow from the next pass alone, not from a longer one before.

    Transformers keeps them until a pass is shorter than what the model was trained on.

    Args:
        model: Of transformers, about to read what has nothing to do with what it has read.
    """
    for module in model.modules():
        for layers, kind in _kinds(module):
            if kind == "dynamic":
                prefix = "" if layers is None else f"{layers}_"
                original = getattr(module, f"{prefix}original_inv_freq")
                frequencies = getattr(module, f"{prefix}inv_freq")
                setattr(module, f"{prefix}inv_freq", original.to(frequencies.device))
                setattr(module, f"{prefix}max_seq_len_cached", module.original_max_seq_len)


def _kinds(module: Any) -> Iterator[tuple[str | None, str]]:
    """Kinds of one rotary embedding, by layers where it differs by them; others have none."""
    kinds = getattr(module, "rope_type", None)
    if kinds is not None:
        yield from kinds.items() if isinstance(kinds, Mapping) else [(None, kinds)]
