"""Optimisers beyond torch's own, each made from the named parameters that `P2OModule` passes."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from p2o.errors import UserError

NamedParameters = Iterable[tuple[str, nn.Parameter]]
"""Names and parameters to train; torch's optimisers take such pairs too."""


class Combined(Optimizer):
    """Several optimisers, each for its own parameters, as the one that Lightning steps.

    Parameter groups and state are the parts' own: a scheduler sets the rates of all, and a saved
    state has the layout of a single optimiser's.

    Args:
        parts: The optimisers; no parameter may be in two of them.
    """

    def __init__(self, parts: Sequence[Optimizer]) -> None:
        self.parts = tuple(parts)
        super().__init__([group for part in self.parts for group in part.param_groups], {})
        self._share()

    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Step all parts.

        Args:
            closure: Computes the gradients and returns the loss; called once.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for part in self.parts:
            part.step()
        return loss

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a state of the same parts; see `torch.optim.Optimizer.load_state_dict`."""
        super().load_state_dict(state_dict)
        self._share()

    def _share(self) -> None:
        start = 0
        for part in self.parts:
            end = start + len(part.param_groups)
            part.param_groups, part.state = self.param_groups[start:end], self.state
            start = end


def muon(
    parameters: NamedParameters,
    lr: float,
    adamw_lr: float,
    momentum: float = 0.95,
    betas: tuple[float, float] = (0.9, 0.999),
    weight_decay: float = 0.0,
    adjust_lr_fn: str | None = "match_rms_adamw",
    adamw_names: Sequence[str] = ("embed", "lm_head", "wte", "wpe"),
) -> Optimizer:
    """Muon for hidden matrices, AdamW for the rest: embeddings, output head, norms and biases.

    https://kellerjordan.github.io/posts/muon/, in the implementation of `torch.optim.Muon`.

    Args:
        parameters: What to train, with names.
        lr: Muon's learning rate.
        adamw_lr: AdamW's learning rate.
        momentum: Muon's.
        betas: AdamW's.
        weight_decay: Of both.
        adjust_lr_fn: How Muon's rate depends on a matrix's shape: ``match_rms_adamw`` makes it
            comparable to AdamW's (https://arxiv.org/abs/2502.16982), ``original`` is the post's.
        adamw_names: A matrix whose name contains one of these is AdamW's.
    """
    hidden, rest = [], []
    for name, parameter in parameters:
        is_hidden = parameter.ndim == 2 and not any(part in name for part in adamw_names)
        (hidden if is_hidden else rest).append((name, parameter))
    parts: list[Optimizer] = []
    if hidden:
        parts.append(
            torch.optim.Muon(
                hidden,
                lr=lr,
                momentum=momentum,
                weight_decay=weight_decay,
                adjust_lr_fn=adjust_lr_fn,
            )
        )
    if rest:
        parts.append(torch.optim.AdamW(rest, lr=adamw_lr, betas=betas, weight_decay=weight_decay))
    return Combined(parts)


def adamw_8bit(
    lr: float, betas: tuple[float, float] = (0.9, 0.999), weight_decay: float = 0.0
) -> Callable[[NamedParameters], Optimizer]:
    """A function that makes torchao's AdamW with a state of 8 bits a number.

    Not the optimiser itself, so that a missing package is found before anything is spent.

    Args:
        lr: Learning rate.
        betas: Decay of the two moments.
        weight_decay: Share of the weights, times `lr`, that each step takes away.

    Raises:
        UserError: torchao is not installed.
    """
    try:
        from torchao.optim import AdamW8bit
        from torchao.optim.subclass_8bit import OptimState8bit
    except ImportError as error:
        raise _missing("adamw_8bit", "torchao") from error

    # Saved as plain tensors: torch refuses to load tensor subclasses the way that Lightning asks.
    def plain(_: Optimizer, saved: dict[str, Any]) -> dict[str, Any]:
        def convert(value: Any) -> Any:
            if not isinstance(value, OptimState8bit):
                return value
            names, attributes = value.__tensor_flatten__()
            return {"tensors": {n: getattr(value, n) for n in names}, "attributes": attributes}

        return _convert_state(saved, convert)

    def packed(_: Optimizer, saved: dict[str, Any]) -> dict[str, Any]:
        def convert(value: Any) -> Any:
            if not isinstance(value, dict):
                return value
            return OptimState8bit.__tensor_unflatten__(value["tensors"], value["attributes"])

        return _convert_state(saved, convert)

    def make(parameters: NamedParameters) -> Optimizer:
        optimizer = AdamW8bit(parameters, lr=lr, betas=betas, weight_decay=weight_decay)
        optimizer.register_state_dict_post_hook(plain)
        optimizer.register_load_state_dict_pre_hook(packed)
        return optimizer

    return make


def _convert_state(saved: dict[str, Any], convert: Callable[[Any], Any]) -> dict[str, Any]:
    state = {
        index: {name: convert(value) for name, value in values.items()}
        for index, values in saved["state"].items()
    }
    return {**saved, "state": state}


def lion(
    lr: float, betas: tuple[float, float] = (0.9, 0.99), weight_decay: float = 0.0
) -> Callable[[NamedParameters], Optimizer]:
    """A function that makes pytorch-optimizer's Lion (https://arxiv.org/abs/2302.06675).

    Not the optimiser itself, so that a missing package is found before anything is spent.

    Args:
        lr: Learning rate; the paper advises a third to a tenth of AdamW's.
        betas: Weights of the momentum in the update, and in itself.
        weight_decay: Share of the weights, times `lr`, that each step takes away.

    Raises:
        UserError: pytorch-optimizer is not installed.
    """
    try:
        from pytorch_optimizer import Lion
    except ImportError as error:
        raise _missing("lion", "pytorch-optimizer") from error
    return partial(Lion, lr=lr, betas=betas, weight_decay=weight_decay)


def _missing(option: str, package: str) -> UserError:
    return UserError(f"{option} needs {package}; 'pip install {package}'")
