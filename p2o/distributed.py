"""The few collective operations that p2o needs; each is the identity in a single process."""

from typing import Any

import torch.distributed as dist


def world_size() -> int:
    """Number of ranks."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """This process's rank."""
    return dist.get_rank() if world_size() > 1 else 0


def gather(value: Any) -> list[Any]:
    """Every rank's value, on every rank."""
    if world_size() == 1:
        return [value]
    values: list[Any] = [None] * world_size()
    dist.all_gather_object(values, value)
    return values


def gather_shards(shard: list[Any]) -> list[Any]:
    """Undo ``items[rank::world_size]``: every rank gets all items in their first order."""
    shards = gather(shard)
    items: list[Any] = [None] * sum(map(len, shards))
    for index, part in enumerate(shards):
        items[index :: len(shards)] = part
    return items


def maximum(value: int) -> int:
    """The largest of all ranks' values."""
    return max(gather(value))


def from_rank_zero(value: Any) -> Any:
    """Rank 0's value, on every rank."""
    if world_size() == 1:
        return value
    box = [value]
    dist.broadcast_object_list(box, src=0)
    return box[0]
