"""What the callbacks ask of other ranks; the identity in a single process."""

from typing import Any

import torch.distributed as dist


def world_size() -> int:
    """Number of ranks."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def gather(value: Any) -> list[Any]:
    """Every rank's value, on every rank, in the order of ranks. All ranks have to call it."""
    if world_size() == 1:
        return [value]
    values: list[Any] = [None] * world_size()
    dist.all_gather_object(values, value)
    return values
