"""Parameters, gradients and optimiser state shared out over data-parallel ranks."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.strategies import FSDPStrategy, ModelParallelStrategy
from torch import nn
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_optimizer_state_dict,
)
from torch.distributed.fsdp import (
    FullOptimStateDictConfig,
    FullStateDictConfig,
    FullyShardedDataParallel,
    MixedPrecision,
    MixedPrecisionPolicy,
    OptimStateKeyType,
    StateDictType,
    fully_shard,
)
from torch.distributed.fsdp.wrap import ModuleWrapPolicy

from p2o.errors import UserError, first_line
from p2o.policy.blocks import blocks
from p2o.policy.models import TorchType
from p2o.running.checkpoint_files import UNREADABLE, refuse_shards
from p2o.running.files import UNFINISHED, replace_folder
from p2o.running.frozen import frozen_names
from p2o.running.shards import PROGRESS, load_shards, write_checksums


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
        compute_dtype: TorchType | None = None,
        save_distributed_checkpoint: bool = False,
        process_group_backend: str | None = None,
    ) -> None:
        self.compute_dtype = _read_dtype(compute_dtype)
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
        write_checksums(unfinished)
        if self.global_rank == 0:
            replace_folder(unfinished, target)
        self.barrier()

    def load_checkpoint(
        self, checkpoint_path: Any, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Load; a folder of shards without running code that may be in it, as Lightning would.

        Raises:
            UserError: Shards are damaged, or of another model.
        """
        folder = Path(self.broadcast(checkpoint_path))
        if not folder.is_dir():
            return super().load_checkpoint(folder, weights_only)
        module, options = self.model, StateDictOptions(cpu_offload=True)
        assert module is not None
        try:
            left_out = frozen_names(module)
            weights = get_model_state_dict(module)
            weights = {name: value for name, value in weights.items() if name not in left_out}
            load_shards({"state_dict": weights}, folder)
            module.load_state_dict(weights, strict=not left_out)
            for number, optimizer in enumerate(self.optimizers):
                name = f"optimizer_{number}"
                state: dict[str, Any] = {name: get_optimizer_state_dict(module, optimizer)}
                load_shards(state, folder)
                set_optimizer_state_dict(
                    module, optimizer, optim_state_dict=state[name], options=options
                )
            return torch.load(folder / PROGRESS, weights_only=True)
        except UNREADABLE as error:
            raise UserError(
                f"{folder}: damaged, or not of this model ({first_line(error)})"
            ) from error

    def shard(self, policy: Any) -> Any:
        """Shard layer by layer; what is left, embeddings and head, belongs to the policy itself.

        Args:
            policy: A `CausalPolicy`, whose forward pass is the only way in from now on.

        Returns:
            The same policy.
        """
        mesh: Any = self.device_mesh
        # Sums of many ranks' gradients need float32.
        precision = MixedPrecisionPolicy(
            param_dtype=self.compute_dtype, reduce_dtype=self.compute_dtype and torch.float32
        )
        for part in [*blocks(policy.model), policy]:
            fully_shard(part, mesh=mesh["data_parallel"], mp_policy=precision)
        return policy


class FlatShardedStrategy(FSDPStrategy):
    """Lightning's FSDP1, which shards the parameters of a layer as one flat vector.

    For comparison with other code; FSDP2 needs less memory, and takes optimisers that look at
    whole matrices. Checkpoints are single files.

    Args:
        compute_dtype: See `FullyShardedStrategy`.
        process_group_backend: None for the usual one of the device.
    """

    def __init__(
        self, compute_dtype: TorchType | None = None, process_group_backend: str | None = None
    ) -> None:
        self.compute_dtype = _read_dtype(compute_dtype)
        super().__init__(process_group_backend=process_group_backend)

    def setup(self, trainer: Trainer) -> None:
        """Set up as Lightning does, but leave weights and what is trained on in their types."""
        if trainer.precision == "32-true":
            plugin: Any = self.precision_plugin
            plugin.convert_module = plugin.convert_input = lambda data: data
        super().setup(trainer)

    def load_checkpoint(
        self, checkpoint_path: Any, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Load a single file, whose header has been read without running code.

        Raises:
            UserError: It is a folder of shards.
        """
        refuse_shards(Path(checkpoint_path))
        return super().load_checkpoint(checkpoint_path, weights_only)

    def shard(self, policy: Any) -> Any:
        """Shard like `FullyShardedStrategy.shard`.

        Returns:
            The policy in a wrapper that passes everything on.
        """
        layers = {type(block) for block in blocks(policy.model)}
        precision = MixedPrecision(
            param_dtype=self.compute_dtype, reduce_dtype=self.compute_dtype and torch.float32
        )
        return FullyShardedDataParallel(
            policy,
            auto_wrap_policy=ModuleWrapPolicy(layers),
            mixed_precision=precision,
            device_id=self.root_device,
            use_orig_params=True,
        )

    def lightning_module_state_dict(self) -> dict[str, Any]:
        """As Lightning's, on CPUs too."""
        assert self.model is not None
        with self._whole_state():
            return {name: value.clone() for name, value in self.model.state_dict().items()}

    def optimizer_state(self, optimizer: Any) -> dict[str, Any]:
        """As Lightning's, on CPUs too."""
        optimizer = getattr(optimizer, "optimizer", optimizer)
        assert self.model is not None
        with self._whole_state():
            state = FullyShardedDataParallel.optim_state_dict(self.model, optimizer)
        if self.global_rank != 0:
            return state
        return FullyShardedDataParallel.rekey_optim_state_dict(
            state, OptimStateKeyType.PARAM_ID, self.model
        )

    def _whole_state(self) -> Any:
        # Moved from a CPU to a CPU, what torch has put together shares its memory with other
        # parts, or has none.
        moved = self.root_device.type != "cpu"
        assert self.model is not None
        return FullyShardedDataParallel.state_dict_type(
            self.model,
            StateDictType.FULL_STATE_DICT,
            FullStateDictConfig(offload_to_cpu=moved, rank0_only=True),
            FullOptimStateDictConfig(offload_to_cpu=moved, rank0_only=True),
        )


def is_sharded(module: nn.Module) -> bool:
    """Whether a module's parameters are shards."""
    return any(isinstance(part, FullyShardedDataParallel) for part in module.modules()) or any(
        hasattr(parameter, "full_tensor") for parameter in module.parameters()
    )


@contextmanager
def readable_weights(policy: nn.Module) -> Iterator[None]:
    """Let `plain_weights` read a policy's weights; collective.

    FSDP1 puts all of them together for that, on every rank; FSDP2 one at a time, and needs nothing.
    """
    if isinstance(policy, FullyShardedDataParallel):
        with FullyShardedDataParallel.summon_full_params(policy, writeback=False):
            yield
    else:
        yield


def _read_dtype(name: str | None) -> torch.dtype | None:
    kind = None if name is None else getattr(torch, name, name)
    if kind is not None and not isinstance(kind, torch.dtype):
        raise UserError(f"compute_dtype={name}: give a torch type such as bfloat16")
    return kind
