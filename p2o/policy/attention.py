"""What a transformers model has to be told so that it reads packed rows as their samples."""

from typing import Any

import torch
from torch.nn.attention.flex_attention import create_block_mask

from p2o.policy.packing import ALWAYS, Packed, Tree

IMPLEMENTATIONS = ("sdpa", "eager", "flex_attention")
"""Kinds of attention of transformers that take a mask of any shape."""
WINDOWS = ("sliding_window", "attention_chunk_size", "window_size")
"""Fields of configurations that say how many tokens a layer sees at most."""


def decoder_arguments(model: Any, packed: Packed) -> dict[str, Any]:
    """Arguments of a decoder beside the tokens: a mask, and positions where rows are trees."""
    if packed.tree is None:
        places = torch.arange(packed.input_ids.shape[1], device=packed.input_ids.device)
        return {"attention_mask": (places < packed.lengths[:, None]).long()}
    tree = packed.tree
    return {"attention_mask": _mask(model, tree), "position_ids": tree.positions}


def implementation(model: Any) -> str | None:
    """The kind of attention that a model has."""
    return getattr(model.config.get_text_config(), "_attn_implementation", None)


def is_sparse(model: Any) -> bool:
    """Whether tokens that do not see each other cost nothing."""
    return implementation(model) == "flex_attention"


def window(model: Any) -> int:
    """How many tokens the layer that sees least sees; `ALWAYS` where all see everything."""
    config = model.config.get_text_config()
    return min((getattr(config, name, None) or ALWAYS for name in WINDOWS), default=ALWAYS)


def _mask(model: Any, tree: Tree) -> Any:
    kind = implementation(model)
    if kind == "flex_attention":
        rows, length = tree.positions.shape
        device = tree.positions.device.type
        # Heads see alike.
        return create_block_mask(
            lambda row, _, query, key: tree.visible(row, query, key),
            *(rows, None, length, length),
            device=device,
        )
    mask = tree.mask()
    if kind == "sdpa":
        return mask
    # Eager attention adds its mask.
    hidden = torch.finfo(model.dtype).min
    return torch.zeros_like(mask, dtype=model.dtype).masked_fill(~mask, hidden)
