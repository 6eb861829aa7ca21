"""Parameters, gradients and optimiser state shared out over data-parallel ranks (FSDP2)."""

from typing import Any

from lightning.pytorch.strategies import ModelParallelStrategy
from torch import nn
from torch.distributed.fsdp import fully_shard


class FullyShardedStrategy(ModelParallelStrategy):
    """Lightning's FSDP2 with every rank in the data-parallel group.

    Lightning's own default shards by tensors instead.

    Args:
        save_distributed_checkpoint: Whether each rank writes its shard to a folder. A single file,
            which rank 0 writes, is whole or not there at all; shards need no memory for the whole.
        process_group_backend: None for the usual one of the device.
    """

    def __init__(
        self, save_distributed_checkpoint: bool = False, process_group_backend: str | None = None
    ) -> None:
        super().__init__(
            data_parallel_size=1,
            tensor_parallel_size=1,
            save_distributed_checkpoint=save_distributed_checkpoint,
            process_group_backend=process_group_backend,
        )

    def setup_environment(self) -> None:
        """Make the group once the number of ranks is known."""
        self._data_parallel_size = self.num_nodes * self.num_processes
        super().setup_environment()


def shard_policy(policy: nn.Module, mesh: Any) -> None:
    """Shard layer by layer; what is left, embeddings and head, belongs to the policy as a whole.

    Args:
        policy: A `CausalPolicy`, whose forward pass is the only way in from now on.
        mesh: The data-parallel device mesh.
    """
    model: Any = policy.model
    for layer in model.get_decoder().layers:
        fully_shard(layer, mesh=mesh)
    fully_shard(policy, mesh=mesh)


def is_sharded(module: nn.Module) -> bool:
    """Whether a module's parameters are shards."""
    return any(hasattr(parameter, "full_tensor") for parameter in module.parameters())
