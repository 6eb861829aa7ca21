"""The layers of a transformer, whatever its family calls them."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint


def blocks(model: Any) -> list[nn.Module]:
    """The layers that a hidden state passes one after the other.

    They are the list of modules with the most parameters; lists inside a layer, such as experts,
    are smaller than the list of layers.

    Args:
        model: A transformers causal language model.

    Returns:
        The layers; the whole decoder where it has no list of modules.
    """
    decoder = model.get_decoder()
    lists = [part for part in decoder.modules() if isinstance(part, nn.ModuleList)]
    return list(max(lists, key=_size)) if lists else [decoder]


def checkpoint_blocks(model: Any) -> None:
    """Let each layer be computed again in the backward pass, which then holds one at a time.

    Transformers' own switch works in training mode alone, in which models also drop out, skip
    layers and add noise; see `p2o.policy.causal.CausalPolicy`.

    Args:
        model: A transformers causal language model; changed in place.
    """
    for block in blocks(model):
        block.forward = partial(_recomputed, block.forward)


def _recomputed(forward: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    # Where there is no backward pass there is nothing to compute again, nor to compile for it.
    if not torch.is_grad_enabled():
        return forward(*arguments, **named)
    return checkpoint(forward, *arguments, use_reentrant=False, **named)


def _size(part: nn.Module) -> int:
    return sum(parameter.numel() for parameter in part.parameters())
