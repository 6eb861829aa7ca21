"""Parameters, gradients and optimiser state shared out over data-parallel ranks (FSDP2)."""

import shutil
import signal
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.strategies import ModelParallelStrategy
from torch import nn
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

from p2o.checkpointing import UNFINISHED, replace_folder
from p2o.errors import UserError


class FullyShardedStrategy(ModelParallelStrategy):
    """Lightning's FSDP2 with every rank in the data-parallel group.

    Lightning's own default shards by tensors instead.

    Args:
        compute_dtype: Torch type in which weights are put together and layers work, such as
            ``bfloat16``; None for that of the weights. Shards, gradients and the optimiser's state
            stay as they are. Autocast (``trainer.precision=bf16-mixed``) would hold a cast copy of
            every whole weight until the forward pass ends.
        save_distributed_checkpoint: Whether each rank writes its shard to a folder. A single file,
            which rank 0 writes, is whole or not there at all; shards need no memory for the whole.
        process_group_backend: None for the usual one of the device.
    """

    def __init__(
        self,
        compute_dtype: str | None = None,
        save_distributed_checkpoint: bool = False,
        process_group_backend: str | None = None,
    ) -> None:
        kind = None if compute_dtype is None else getattr(torch, compute_dtype, compute_dtype)
        if kind is not None and not isinstance(kind, torch.dtype):
            raise UserError(
                f"trainer.strategy.compute_dtype={compute_dtype}: give a torch type such as "
                "bfloat16"
            )
        super().__init__(
            data_parallel_size=1,
            tensor_parallel_size=1,
            save_distributed_checkpoint=save_distributed_checkpoint,
            process_group_backend=process_group_backend,
        )
        # Sums of many ranks' gradients need float32.
        self.mixed_precision = MixedPrecisionPolicy(
            param_dtype=kind, reduce_dtype=None if kind is None else torch.float32
        )

    def setup_environment(self) -> None:
        """Make the group once the number of ranks is known."""
        self._data_parallel_size = self.num_nodes * self.num_processes
        super().setup_environment()

    def save_checkpoint(
        self, checkpoint: dict[str, Any], filepath: Any, storage_options: Any | None = None
    ) -> None:
        """Save; a folder of shards is written aside and renamed when all ranks have done so."""
        if not self._save_distributed_checkpoint:
            super().save_checkpoint(checkpoint, filepath, storage_options)
            return
        target = Path(self.broadcast(filepath))
        unfinished = target.with_name(target.name + UNFINISHED)
        if self.global_rank == 0:
            shutil.rmtree(unfinished, ignore_errors=True)
        self.barrier()
        super().save_checkpoint(checkpoint, unfinished, storage_options)
        self.barrier()
        if self.global_rank == 0:
            replace_folder(unfinished, target)
        self.barrier()

    def shard(self, policy: nn.Module) -> None:
        """Shard layer by layer; what is left, embeddings and head, belongs to the policy itself.

        Args:
            policy: A `CausalPolicy`, whose forward pass is the only way in from now on.
        """
        model: Any = policy
        mesh: Any = self.device_mesh
        for part in [*model.model.get_decoder().layers, policy]:
            fully_shard(part, mesh=mesh["data_parallel"], mp_policy=self.mixed_precision)


def is_sharded(module: nn.Module) -> bool:
    """Whether a module's parameters are shards."""
    return any(hasattr(parameter, "full_tensor") for parameter in module.parameters())


def stop_other_ranks(trainer: Trainer) -> None:
    """End the ranks that this one has started; they may wait for it in a collective operation.

    Ranks that torchrun or SLURM has started are ended by these.
    """
    launcher: Any = trainer.strategy.launcher
    if hasattr(launcher, "kill"):
        launcher.kill(signal.SIGKILL)
