"""What a transformers model has to be told so that it reads packed rows as their samples."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention.flex_attention import BlockMask

from p2o.policy.packing import ALWAYS, Packed, Tree

IMPLEMENTATIONS = ("sdpa", "eager", "flex_attention")
"""Kinds of attention of transformers that take a mask of any shape."""
BLOCK = 128
"""Tokens in a block of a sparse mask, flex attention's own choice."""
LONG_QUERIES = {"kernel_options": {"FORCE_USE_FLEX_ATTENTION": True}}
"""Flex attention reads rows of fewer than 128 tokens with a kernel for decoding, which cannot be
compiled for lengths that change from row to row. This keeps it to the usual one."""
WINDOWS = ("sliding_window", "attention_chunk_size")
"""Fields of configurations that say how many tokens a layer sees at most."""
WINDOW_OF_PLACES = "window_size"
"""The same where a layer goes by a token's place in its row, whatever mask it gets (GPT-Neo)."""


def decoder_arguments(model: Any, packed: Packed) -> dict[str, Any]:
    """Arguments of a decoder beside the tokens: a mask, and positions where rows are trees."""
    kernel = LONG_QUERIES if is_sparse(model) else {}
    if packed.tree is None:
        places = torch.arange(packed.input_ids.shape[1], device=packed.input_ids.device)
        return {"attention_mask": (places < packed.lengths[:, None]).long(), **kernel}
    tree = packed.tree
    return {"attention_mask": _mask(model, tree), "position_ids": tree.positions, **kernel}


def implementation(model: Any) -> str | None:
    """The kind of attention that a model has."""
    return getattr(model.config.get_text_config(), "_attn_implementation", None)


def is_sparse(model: Any) -> bool:
    """Whether tokens that do not see each other cost nothing."""
    return implementation(model) == "flex_attention"


def window(model: Any) -> int:
    """How many tokens the layer that sees least sees; `ALWAYS` where all see everything.

    0 where that goes by places in a row: a branch may be any number of places behind its context.
    """
    config = model.config.get_text_config()
    if getattr(config, WINDOW_OF_PLACES, None):
        return 0
    return min((getattr(config, name, None) or ALWAYS for name in WINDOWS), default=ALWAYS)


def _mask(model: Any, tree: Tree) -> Any:
    kind = implementation(model)
    if kind == "flex_attention":
        return _block_mask(tree)
    mask = tree.mask()
    if kind == "sdpa":
        return mask
    # Eager attention adds its mask.
    hidden = torch.finfo(model.dtype).min
    return torch.zeros_like(mask, dtype=model.dtype).masked_fill(~mask, hidden)


def visible_blocks(tree: Tree, size: int) -> Tensor:
    """`[B, N, N]`, whether a block of queries may see a block of keys, for N blocks of `size`.

    The whole mask of L x L is never made: what a key is seen by depends on its depth and on the
    query's branch alone, and nothing is seen that stands later in the row.
    """
    rows, length = tree.positions.shape
    row = torch.arange(rows, device=tree.positions.device)[:, None]
    seen_by = tree.positions[..., None] < tree.shared[row, tree.branches]
    there = nn.functional.one_hot(tree.branches, tree.shared.shape[-1]).bool()
    keys, queries = (
        nn.functional.pad(part, (0, 0, 0, -length % size)).unflatten(1, (-1, size)).any(2)
        for part in (seen_by, there)
    )
    return torch.stack(
        [(q[:, None] & k[None]).any(-1).tril() for q, k in zip(queries, keys, strict=True)]
    )


def _block_mask(tree: Tree) -> BlockMask:
    blocks = visible_blocks(tree, BLOCK)[:, None]  # Heads see alike.
    length = tree.positions.shape[1]
    return BlockMask.from_kv_blocks(
        blocks.sum(-1, dtype=torch.int32),
        blocks.int().argsort(dim=-1, descending=True, stable=True).int(),
        BLOCK_SIZE=BLOCK,
        mask_mod=lambda row, _, query, key: tree.visible(row, query, key),
        seq_lengths=(length, length),
    )
