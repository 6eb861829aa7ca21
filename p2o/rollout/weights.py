"""A policy's weights on their way to an engine that keeps its own."""

import hashlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

SAMPLED = 8
"""Elements of each parameter that go into a fingerprint; every update changes all of them."""
PEFT_PREFIX = "base_model.model."
FSDP_PREFIX = "_fsdp_wrapped_module."


def fingerprint(policy: nn.Module) -> str:
    """A digest that changes with every training step; of sharded weights, of the local part."""
    digest = hashlib.sha256()
    for name, parameter in policy.named_parameters():
        local: Tensor = getattr(parameter, "_local_tensor", parameter).detach()
        digest.update(name.encode())
        digest.update(str(local.flatten()[:SAMPLED].to("cpu", torch.float64).tolist()).encode())
    return digest.hexdigest()


@torch.no_grad()
def plain_weights(policy: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """All weights, one at a time, under the names that transformers gives them.

    Shards are put together, which every rank has to take part in; those of FSDP1 have to be in
    `p2o.sharding.readable_weights`. LoRA is merged into copies: the
    weights below it are not touched, and so do not gather rounding errors.
    """
    deltas = {
        f"{name.replace(FSDP_PREFIX, '')}.base_layer.weight": module
        for name, module in policy.named_modules()
        if hasattr(module, "get_delta_weight")
    }
    # A head tied to the embeddings comes twice: an engine may keep a repacked copy of it.
    for wrapped_name, parameter in policy.named_parameters(remove_duplicate=False):
        name = wrapped_name.replace(FSDP_PREFIX, "")
        if ".lora_" in name:
            continue
        weight = parameter.detach()
        if name in deltas:
            weight = weight + _delta(deltas[name])
        full: Any = weight
        if hasattr(weight, "full_tensor"):
            full = full.full_tensor()
        yield name.removeprefix(PEFT_PREFIX).replace(".base_layer.", "."), full


def whole_copy(policy: Any) -> Any:
    """A transformers model of its own with the policy's weights, whole and with LoRA merged.

    Collective for a sharded policy.
    """
    plain = policy.get_base_model() if hasattr(policy, "get_base_model") else policy
    copied = type(plain)._from_config(plain.config, dtype=plain.dtype)
    copied.generation_config = plain.generation_config
    copied = copied.to(plain.device).requires_grad_(False)
    copy_weights(policy, copied)
    return copied


@torch.no_grad()
def copy_weights(policy: nn.Module, target: nn.Module) -> None:
    """Overwrite the weights of a whole model with those of a policy of the same architecture."""
    state = target.state_dict()
    for name, weight in plain_weights(policy):
        state[name].copy_(weight)


def _delta(module: Any) -> Tensor:
    deltas = [module.get_delta_weight(adapter) for adapter in module.active_adapters]
    return torch.stack(deltas).sum(0)
