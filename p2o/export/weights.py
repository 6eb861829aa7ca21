"""The policy's weights in a checkpoint, be it a file or a folder of shards."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.distributed.checkpoint.metadata import TensorStorageMetadata

from p2o.errors import UserError
from p2o.running.checkpoint_files import UNREADABLE
from p2o.running.frozen import FROZEN, check_frozen, frozen_checksum, frozen_names
from p2o.running.shards import INDEX, PROGRESS, load_shards, read_index

PREFIX = "policy.model."
"""Under which `P2OModule` holds the model."""
SHARDED_PREFIXES = ("state_dict.", "model.")
"""Under which Lightning's ModelParallelStrategy and FSDPStrategy put a module into shards."""


@dataclass(frozen=True)
class CheckpointWeights:
    """The policy's weights in a checkpoint, under the names they have in the model.

    Args:
        path: The checkpoint, a file or a folder.
        tensors: Of a file, memory-mapped; of a folder, without values.
        updates: Made before it was written, if it says so.
        prefix: What stands before a name in a folder.
        frozen: Checksum of the weights that are not in it, as they were not trained.
    """

    path: Path
    tensors: Mapping[str, Tensor]
    updates: int | None
    prefix: str = PREFIX
    frozen: str | None = None

    @classmethod
    def open(cls, path: Path) -> "CheckpointWeights":
        """Read which weights there are.

        Raises:
            UserError: It is damaged, or no checkpoint of a policy.
        """
        if path.is_dir() and not (path / INDEX).is_file():
            # Torch writes the index of the shards last.
            raise UserError(f"--checkpoint={path}: not a sharded checkpoint, or an unfinished one")
        try:
            weights = cls._open_folder(path) if path.is_dir() else cls._open_file(path)
        except UNREADABLE as error:
            raise UserError(f"--checkpoint={path}: not a checkpoint, or a damaged one") from error
        if not weights.tensors:
            raise UserError(f"--checkpoint={path}: not a checkpoint of p2o-train (no {PREFIX}*)")
        return weights

    @classmethod
    def _open_file(cls, path: Path) -> "CheckpointWeights":
        content = torch.load(path, weights_only=True, mmap=True, map_location="cpu")
        tensors = {
            name.removeprefix(PREFIX): tensor
            for name, tensor in content.get("state_dict", {}).items()
            if name.startswith(PREFIX)
        }
        return cls(path, tensors, content.get("global_step"), frozen=content.get(FROZEN))

    @classmethod
    def _open_folder(cls, path: Path) -> "CheckpointWeights":
        entries = read_index(path).state_dict_metadata
        prefixes = [f"{sharded}{PREFIX}" for sharded in SHARDED_PREFIXES]
        prefix = next((p for p in prefixes if any(name.startswith(p) for name in entries)), PREFIX)
        tensors = {
            name.removeprefix(prefix): torch.empty(
                entry.size, dtype=entry.properties.dtype, device="meta"
            )
            for name, entry in entries.items()
            if name.startswith(prefix) and isinstance(entry, TensorStorageMetadata)
        }
        progress = path / PROGRESS
        content = torch.load(progress, weights_only=True) if progress.is_file() else {}
        return cls(path, tensors, content.get("global_step"), prefix, content.get(FROZEN))

    @torch.no_grad()
    def load_into(self, model: nn.Module) -> None:
        """Put the weights into a model, in the types they have here.

        Raises:
            UserError: They do not fit the model, or cannot be read.
        """
        left_out = frozenset() if self.frozen is None else frozen_names(model)
        own = model.state_dict()
        self._check_fit({name: own[name] for name in own if name not in left_out})
        if self.frozen is not None:
            check_frozen(f"--checkpoint={self.path}", self.frozen, frozen_checksum(model))
        for name, parameter in model.named_parameters():
            if name in self.tensors:
                parameter.data = parameter.data.to(self.tensors[name].dtype)
        state = {name: t for name, t in model.state_dict().items() if name in self.tensors}
        try:
            self._copy_to(state)
        except UNREADABLE as error:
            raise UserError(f"--checkpoint={self.path}: damaged, cannot be read") from error

    def _check_fit(self, state: Mapping[str, Tensor]) -> None:
        # A tied weight need not be there under each of its names.
        places = {tensor.data_ptr() for name, tensor in state.items() if name in self.tensors}
        wrong = [
            f"it has no {PREFIX}{name}"
            for name, tensor in state.items()
            if name not in self.tensors and tensor.data_ptr() not in places
        ]
        wrong += [
            f"the model has no {PREFIX}{name}"
            if name not in state
            else f"{PREFIX}{name} is {list(tensor.shape)}, in the model {list(state[name].shape)}"
            for name, tensor in self.tensors.items()
            if name not in state or state[name].shape != tensor.shape
        ]
        if wrong:
            more = f", and {len(wrong) - 1} more" if len(wrong) > 1 else ""
            raise UserError(
                f"--checkpoint={self.path}: does not fit the run's model: {wrong[0]}{more}; give "
                "a checkpoint of this run"
            )

    def _copy_to(self, state: Mapping[str, Tensor]) -> None:
        if self.path.is_dir():
            with warnings.catch_warnings():
                # That there is no process group.
                warnings.simplefilter("ignore")
                wanted = {f"{self.prefix}{name}": tensor for name, tensor in state.items()}
                load_shards(wanted, self.path, alone=True)
        else:
            for name, tensor in state.items():
                tensor.copy_(self.tensors[name])
