"""A policy's weights on their way to an engine that keeps its own, or to a disk."""

import hashlib
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from transformers.core_model_loading import revert_weight_conversion

from p2o.running.distributed import gather

INTEGERS = {1: torch.int8, 2: torch.int16, 4: torch.int32}
"""By bytes of an element: as what its bits are read. Wider elements are read four bytes at a time:
the highest bit of a 64-bit product changes in the same way whatever the factor is."""
HASHED = {"cpu": 2**18, "cuda": 2**24}
"""Elements that are hashed at a time: what fits into a cache, or keeps a GPU busy."""
SAMPLE = 2**12
"""Values of a tensor, about, that tell one policy from another."""
PEFT_PREFIX = "base_model.model."
FSDP_PREFIX = "_fsdp_wrapped_module."


def fingerprint(policy: nn.Module) -> str:
    """A digest of all weights and buffers, the same on all ranks; collective.

    Every element counts: an update may move a few rows of the embeddings alone. Of sharded weights
    each rank reads its part, and what has changed on one rank has changed for all.
    """
    digest = hashlib.sha256()
    with torch.no_grad():
        for name, weight in _named_state(policy):
            local: Tensor = getattr(weight, "_local_tensor", weight).detach()
            digest.update(f"{name}{local.dtype}{list(local.shape)}".encode())
            if local.numel():
                digest.update(_hash_rows(local).cpu().numpy().tobytes())
    return hashlib.sha256("".join(gather(digest.hexdigest())).encode()).hexdigest()


def identity(policy: nn.Module) -> str:
    """A hash that tells one policy from another, whole and with LoRA merged.

    Of each tensor some values count, evenly spaced, so that it takes no time for a large one.
    """
    digest = hashlib.sha256()
    for name, weight in plain_weights(policy):
        digest.update(f"{name}{list(weight.shape)}".encode())
        values = weight.reshape(-1)[:: max(1, weight.numel() // SAMPLE)]
        digest.update(values.float().cpu().numpy().tobytes())
    return digest.hexdigest()


@torch.no_grad()
def plain_weights(policy: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """All weights and buffers, one at a time, under the names that transformers gives them.

    Shards are put together, which every rank has to take part in; those of FSDP1 have to be in
    `p2o.policy.sharding.readable_weights`. LoRA is merged into copies: the
    weights below it are not touched, and so do not gather rounding errors.
    """
    adapters = {
        # Peft has one wrapper around the other where a module has several adapted parameters.
        f"{_plain_name(name)}.{getattr(module, 'parameter_name', 'weight')}": module
        for name, module in policy.named_modules()
        if hasattr(module, "get_delta_weight")
    }
    # A head tied to the embeddings comes twice: an engine may keep a repacked copy of it.
    for wrapped_name, tensor in _named_state(policy):
        name = _plain_name(wrapped_name)
        if ".lora_" in name:
            continue
        weight = tensor.detach()
        if name in adapters:
            weight = weight + _delta(adapters[name])
        full: Any = weight
        if hasattr(weight, "full_tensor"):
            full = full.full_tensor()
        yield name, full


def checkpoint_weights(
    model: nn.Module, weights: Iterable[tuple[str, Tensor]]
) -> Iterator[tuple[str, Tensor]]:
    """Weights under the names, and in the parts, that they have in a checkpoint.

    In memory transformers keeps the experts of a layer in one tensor. Files, and engines that read
    them, have each expert on its own.

    Args:
        model: Whose weights they are.
        weights: As from `plain_weights`.
    """
    plain = _without_adapter(model)
    for name, weight in weights:
        yield from revert_weight_conversion(plain, {name: weight}).items()


def whole_copy(policy: Any) -> Any:
    """A transformers model of its own with the policy's weights, whole and with LoRA merged.

    Collective for a sharded policy.
    """
    plain = _without_adapter(policy)
    copied = build_plain(plain).to(plain.device)
    copy_weights(plain_weights(policy), copied)
    return copied


def build_plain(model: Any) -> Any:
    """A frozen transformers model of the same architecture, on the CPU, with other weights."""
    plain = _without_adapter(model)
    built = type(plain)._from_config(plain.config, dtype=plain.dtype)
    built.generation_config = plain.generation_config
    return built.requires_grad_(False)


@torch.no_grad()
def copy_weights(weights: Iterable[tuple[str, Tensor]], target: nn.Module) -> None:
    """Overwrite the weights and buffers of a whole model, which take over their types.

    Args:
        weights: As from `plain_weights`.
        target: A model of the same architecture.
    """
    own = dict(_named_state(target))
    for name, weight in weights:
        if own[name].dtype != weight.dtype:
            own[name].data = own[name].data.to(weight.dtype)
        own[name].copy_(weight)


def _hash_rows(weight: Tensor) -> Tensor:
    """A number for each row `[R]`, computed where the weights are.

    A place's own odd factor, twice as wide as what it multiplies, makes a change of one bit another
    change at each place, or two of them in one row could cancel.
    """
    rows = weight.reshape(-1, weight.shape[-1]) if weight.dim() else weight.reshape(1, 1)
    bits = rows.contiguous().view(INTEGERS[min(4, rows.element_size())])
    places = torch.randint(
        -(2**62), 2**62, (bits.shape[1],), generator=torch.Generator().manual_seed(0)
    )
    odd = (2 * places + 1).to(rows.device)
    height = max(1, HASHED.get(rows.device.type, 2**18) // bits.shape[1])
    return torch.cat([torch.hash_tensor(part.long() * odd, dim=1) for part in bits.split(height)])


def _named_state(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Parameters, tied ones under each of their names, and the buffers that checkpoints have."""
    yield from module.named_parameters(remove_duplicate=False)
    for prefix, part in module.named_modules(remove_duplicate=False):
        for name, buffer in part._buffers.items():
            if buffer is not None and name not in part._non_persistent_buffers_set:
                yield (f"{prefix}.{name}" if prefix else name), buffer


def _plain_name(name: str) -> str:
    """A module's or a parameter's name in the model without wrappers."""
    unwrapped = name.replace(FSDP_PREFIX, "").removeprefix(PEFT_PREFIX)
    return unwrapped.replace(".base_layer", "")


def _without_adapter(model: Any) -> Any:
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def _delta(module: Any) -> Tensor:
    deltas = [module.get_delta_weight(adapter) for adapter in module.active_adapters]
    return torch.stack(deltas).sum(0)
