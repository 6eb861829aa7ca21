"""What data parallelism and autocast keep, on two CPU ranks; rank 0 prints bytes."""

import sys
import weakref

import torch
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel
from torch.utils._python_dispatch import TorchDispatchMode

WIDTH, LAYERS = 128, 4


def buckets() -> list[int]:
    """Bytes of the buckets that gradients are sent from; 1 if these are not the gradients' own."""
    network = nn.Linear(30, 30)
    parallel = DistributedDataParallel(network)
    parallel(torch.ones(1, 30)).sum().backward()
    sent = [bucket.buffer() for bucket in parallel.reducer._get_zeros_like_grad_buckets()]
    places = {bucket.untyped_storage().data_ptr() for bucket in sent}
    own = {p.grad.untyped_storage().data_ptr() for p in network.parameters() if p.grad is not None}
    return [sum(bucket.nbytes for bucket in sent), int(not places & own)]


class Casts(TorchDispatchMode):
    """Bytes of the bfloat16 matrices that are there."""

    bytes = 0

    def __torch_dispatch__(self, operation, types, arguments=(), options=None):
        result = operation(*arguments, **(options or {}))
        if operation is torch.ops.aten._to_copy.default and result.shape == (WIDTH, WIDTH):
            storage = result.untyped_storage()
            self.bytes += storage.nbytes()
            weakref.finalize(storage, self._free, storage.nbytes())
        return result

    def _free(self, size: int) -> None:
        self.bytes -= size


def casts() -> list[int]:
    """Numbers in matrices; bytes of their casts at the end of a forward pass, and after it."""
    layers = [nn.Linear(WIDTH, WIDTH, bias=False) for _ in range(LAYERS)]
    network = nn.Sequential(*layers)
    mesh = init_device_mesh("cpu", (2,))
    for layer in layers:
        fully_shard(layer, mesh=mesh)
    fully_shard(network, mesh=mesh)
    with Casts() as kept:
        # Without gradient nothing but the cache of casts holds on to them.
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            network(torch.ones(1, WIDTH))
            within = kept.bytes
        after = kept.bytes
    return [LAYERS * WIDTH * WIDTH, within, after]


if __name__ == "__main__":
    torch.distributed.init_process_group("gloo")
    found = {"buckets": buckets, "casts": casts}[sys.argv[1]]()
    if torch.distributed.get_rank() == 0:
        print(*found)
    torch.distributed.destroy_process_group()
