"""One token more of many rows, without a copy of what was read before.

A pass over one token of each row reads all that is kept of the rows. Transformers copies it
besides: to put the new token behind it, and to repeat it for each query head of a group.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Self

import torch
from torch import Tensor, nn
from transformers.cache_utils import DynamicLayer
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

ROOM = 64
"""Tokens that a layer can take before it is copied to where there is room for more."""


class Growing:
    """A tensor `[..., W, D]` that columns are put behind."""

    def __init__(self) -> None:
        self._space = self._used = torch.empty(0)

    def put(self, kept: Tensor, more: Tensor) -> Tensor:
        """Both, one behind the other; `kept` is copied unless it is what was returned last.

        Args:
            kept: `[..., W, D]`
            more: `[..., N, D]`

        Returns:
            `[..., W + N, D]`
        """
        width = kept.shape[-2]
        end = width + more.shape[-2]
        if kept is not self._used or end > self._space.shape[-2]:
            columns = max(end, width + ROOM)
            self._space = kept.new_empty(*kept.shape[:-2], columns, kept.shape[-1])
            self._space[..., :width, :] = kept
        self._space[..., width:end, :] = more
        self._used = self._space[..., :end, :]
        return self._used


class GrowingLayer(DynamicLayer):
    """What a layer keeps of its rows, with room for tokens to come."""

    def __init__(self) -> None:
        super().__init__()
        self._growing = Growing(), Growing()

    @classmethod
    def of(cls, layer: Any) -> Self:
        """A layer that goes on from what another one has."""
        grown = cls()
        grown.lazy_initialization(layer.keys, layer.values)
        grown.keys, grown.values = layer.keys, layer.values
        return grown

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """Keep more tokens of each row; returns the keys and values of all."""
        if self.keys is None or self.values is None:
            return super().update(key_states, value_states)
        keys, values = self._growing
        self.keys = keys.put(self.keys, key_states)
        self.values = values.put(self.values, value_states)
        return self.keys, self.values

    def forget_room(self) -> None:
        """Let go of the room, since what is kept is in another place now."""
        self._growing = Growing(), Growing()

    def reorder_cache(self, beam_idx: torch.LongTensor) -> None:
        """Keep some rows, any of them several times."""
        super().reorder_cache(beam_idx)
        # Layer by layer, or the whole cache would be there twice.
        self.forget_room()


@contextmanager
def grouped_queries() -> Iterator[None]:
    """Within it, ``sdpa`` reads keys and values once for all query heads that share them.

    This is so where each row has one query; transformers repeats them for each query head whenever
    rows are padded. An ``sdpa`` that somebody else has put in transformers' place stays.
    """
    if ALL_ATTENTION_FUNCTIONS["sdpa"] is not sdpa_attention_forward:
        yield
        return
    ALL_ATTENTION_FUNCTIONS["sdpa"] = _grouped
    try:
        yield
    finally:
        # Another thread may have been as far.
        with suppress(KeyError):
            del ALL_ATTENTION_FUNCTIONS["sdpa"]


def _grouped(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, mask: Any, **options: Any
) -> tuple[Tensor, None]:
    if not _can_be_grouped(query, key, value, mask, options):
        return sdpa_attention_forward(module, query, key, value, mask, **options)
    # The queries of a group are taken for as many tokens, all of which see the same.
    rows, heads, _, size = query.shape
    groups = query.reshape(rows, key.shape[1], -1, size)
    seen = None if mask is None else mask.expand(-1, -1, groups.shape[2], -1)
    found = nn.functional.scaled_dot_product_attention(
        groups, key, value, attn_mask=seen, scale=options.get("scaling")
    )
    return found.reshape(rows, 1, heads, -1), None


def _can_be_grouped(
    query: Tensor, key: Tensor, value: Tensor, mask: Any, options: dict[str, Any]
) -> bool:
    return (
        query.shape[2] == 1
        and query.shape[1] > key.shape[1] == value.shape[1]
        and (mask is None or mask.shape[1:3] == (1, 1))
        and options.get("position_bias") is None
        and not options.get("dropout")
    )
