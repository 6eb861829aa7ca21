"""Rows that a model has read, which can be repeated, leave and be joined by others.

All rows end in the same column. A shorter one is padded in front, so that joining rows means
padding and dropping a row means indexing; a sliding window, which keeps the last columns, still has
those that it needs.
"""

import copy
import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from transformers.cache_utils import (
    DynamicCache,
    DynamicLayer,
    DynamicSlidingWindowLayer,
    LinearAttentionLayer,
)

from p2o.policy.rotary import steady_length
from p2o.rollout.one_token import GrowingLayer, grouped_queries

LAYERS = {DynamicLayer, DynamicSlidingWindowLayer, LinearAttentionLayer}
"""Caches of layers whose rows can be joined."""


@dataclass
class Reading:
    """What a model keeps of N rows, and what it expects to follow.

    Attributes:
        cache: Keys, values and states, in a `DynamicCache`.
        mask: `[N, W]`; 1 where a row has a token, 0 in front of it.
        logits: Of each row's next token, `[N, V]`.
    """

    cache: Any
    mask: Tensor
    logits: Tensor

    def pick(self, rows: Tensor | Sequence[int]) -> None:
        """Keep some rows, any of them several times, and the columns that they need."""
        rows = torch.as_tensor(rows, device=self.mask.device)
        self.logits, mask = self.logits[rows], self.mask[rows]
        width = int(mask.sum(1).max())
        self.mask = mask[:, -width:]
        self.cache.reorder_cache(rows)
        for layer in self.cache.layers:
            if isinstance(layer, DynamicLayer):
                _set_width(layer, width)

    def picked(self, rows: Tensor | Sequence[int]) -> "Reading":
        """A copy of some rows."""
        other = copy.deepcopy(self)
        other.pick(rows)
        return other

    def join(self, other: "Reading") -> None:
        """Take the rows of another reading, after these."""
        self.logits = torch.cat([self.logits, other.logits])
        self.mask = _stack(self.mask, other.mask)
        for layer, more in zip(self.cache.layers, other.cache.layers, strict=True):
            _join(layer, more)


def joined(reading: Reading | None, other: Reading) -> Reading:
    """What was read before, if anything, with the rows of another reading after it."""
    if reading is None:
        return other
    reading.join(other)
    return reading


def read(model: Any, prompts: Sequence[Sequence[int]]) -> Reading:
    """Read prompts that a model has to go on from."""
    ids, mask = padded(prompts, model.device)
    output = _forward(model, ids, mask, None)
    cache = output.past_key_values
    cache.layers = [_growing(layer) for layer in cache.layers]
    return Reading(cache, mask, output.logits[:, -1].clone())


def padded(prompts: Sequence[Sequence[int]], device: Any) -> tuple[Tensor, Tensor]:
    """Token ids, padded in front with any token, and a mask that says where; both `[N, W]`."""
    width = max(map(len, prompts))
    ids, mask = torch.zeros(2, len(prompts), width, dtype=torch.long)
    for row, prompt in enumerate(prompts):
        ids[row, width - len(prompt) :] = torch.tensor(prompt)
        mask[row, width - len(prompt) :] = 1
    return ids.to(device), mask.to(device)


def read_on(model: Any, reading: Reading, tokens: Tensor) -> None:
    """Read one more token of each row, `[N]`."""
    reading.mask = nn.functional.pad(reading.mask, (0, 1), value=1)
    with grouped_queries():
        output = _forward(model, tokens[:, None], reading.mask, reading.cache)
    reading.logits = output.logits[:, -1]


@torch.no_grad()
def rows_can_join(model: Any, prompt: Sequence[int]) -> bool:
    """Whether a model keeps its rows apart, in a cache of known layers.

    Frequencies of rotary embeddings that depend on the longest row would be those of the batch in
    which a row was read; see `p2o.rollout.generating.generate`.
    """
    if steady_length(model) is not None:
        return False
    if "past_key_values" not in _arguments(type(model)):
        return False
    cache = getattr(_forward(model, *padded([prompt], model.device), None), "past_key_values", None)
    return type(cache) is DynamicCache and all(type(layer) in LAYERS for layer in cache.layers)


def no_router_loss(model: Any) -> dict[str, bool]:
    """Keep a mixture of experts from computing a loss that is for training, and fails here."""
    wanted = getattr(model.config.get_text_config(), "output_router_logits", False)
    return {"output_router_logits": False} if wanted else {}


def _forward(model: Any, ids: Tensor, mask: Tensor, cache: Any) -> Any:
    positions = (mask.cumsum(1) - 1).clamp_min(0)[:, -ids.shape[1] :]
    offered = {"position_ids": positions, "logits_to_keep": 1}
    taken = {name: offered[name] for name in _arguments(type(model)) & offered.keys()}
    return model(
        input_ids=ids,
        attention_mask=mask,
        past_key_values=cache,
        use_cache=True,
        return_dict=True,
        **taken,
        **no_router_loss(model),
    )


@cache
def _arguments(kind: Any) -> set[str]:
    return set(inspect.signature(kind.forward).parameters)


def _growing(layer: Any) -> Any:
    """A layer that keeps all tokens, made to take more of them without a copy."""
    return GrowingLayer.of(layer) if type(layer) is DynamicLayer else layer


def _join(layer: Any, other: Any) -> None:
    if isinstance(layer, DynamicLayer):
        layer.keys = _stack(layer.keys, other.keys, dim=-2)
        layer.values = _stack(layer.values, other.values, dim=-2)
        if isinstance(layer, DynamicSlidingWindowLayer):
            layer.cumulative_length = max(layer.cumulative_length, other.cumulative_length)
        if isinstance(layer, GrowingLayer):
            layer.forget_room()
        return
    for states, more in (
        (layer.conv_states, other.conv_states),
        (layer.recurrent_states, other.recurrent_states),
    ):
        states.update({n: torch.cat([s, more[n]]) for n, s in states.items() if s is not None})


def _set_width(layer: Any, width: int) -> None:
    """Drop columns in front of the last `width`."""
    kept = min(width, getattr(layer, "sliding_window", width + 1) - 1)
    layer.keys, layer.values = layer.keys[..., -kept:, :], layer.values[..., -kept:, :]
    if isinstance(layer, DynamicSlidingWindowLayer):
        layer.cumulative_length = width


def _stack(first: Any, second: Any, dim: int = -1) -> Tensor:
    """Rows of both, padded in front with zeros along `dim` to the longer one."""
    width = max(first.shape[dim], second.shape[dim])
    behind = (0, 0) * (-1 - dim)
    parts = [(part, (*behind, width - part.shape[dim], 0)) for part in (first, second)]
    return torch.cat([nn.functional.pad(part, padding) for part, padding in parts])
