"""Reading a folder of shards that anybody may have written: nothing in it can run code.

Torch reads the index of shards with an unpickler that calls whatever it is told to, and values
beside the tensors likewise. Here an index is made of torch's own records and nothing else.
"""

import hashlib
import json
import pickle
from pathlib import Path, PosixPath
from typing import Any

import torch
from torch.distributed.checkpoint import filesystem, metadata
from torch.distributed.checkpoint.default_planner import DefaultLoadPlanner
from torch.distributed.checkpoint.filesystem import FileSystemReader
from torch.distributed.checkpoint.planner import ReadItem
from torch.distributed.checkpoint.state_dict_loader import load

from p2o.running.distributed import gather, rank

INDEX = ".metadata"
"""Written by torch once all shards are."""
PROGRESS = "meta.pt"
"""All of a checkpoint but weights and the optimiser's state."""
CHECKSUMS = "checksums.json"
"""Written after everything else."""

_RECORDS: dict[tuple[str, str], Any] = {
    (kind.__module__, kind.__qualname__): kind
    for kind in (
        metadata.BytesStorageMetadata,
        metadata.ChunkStorageMetadata,
        metadata.Metadata,
        metadata.MetadataIndex,
        metadata.StorageMeta,
        metadata.TensorProperties,
        metadata.TensorStorageMetadata,
        metadata._MEM_FORMAT_ENCODING,
        filesystem._StorageInfo,
        PosixPath,
        torch.Size,
        torch.serialization._get_layout,
    )
}
_DTYPES = {
    ("torch", name): value for name, value in vars(torch).items() if isinstance(value, torch.dtype)
}
_ALLOWED = {**_RECORDS, **_DTYPES}


class _IndexUnpickler(pickle.Unpickler):
    def find_class(self, module_name: str, global_name: str) -> Any:
        found = _ALLOWED.get((module_name, global_name))
        if found is None:
            raise pickle.UnpicklingError(f"{module_name}.{global_name} in an index of shards")
        return found


def read_index(folder: Path) -> metadata.Metadata:
    """The index of a folder of shards: which tensors there are, and where.

    Raises:
        pickle.UnpicklingError: It is made of something else than torch's records.
    """
    with (folder / INDEX).open("rb") as file:
        index = _IndexUnpickler(file).load()
    if not isinstance(index, metadata.Metadata):
        raise pickle.UnpicklingError(f"an index of shards that is a {type(index).__name__}")
    return index


class _Reader(FileSystemReader):
    def read_metadata(self, *args: Any, **kwargs: Any) -> metadata.Metadata:
        index = read_index(Path(self.path))
        index.storage_meta = metadata.StorageMeta(load_id=self.load_id)
        return index


class _Planner(DefaultLoadPlanner):
    def load_bytes(self, read_item: ReadItem, value: Any) -> None:
        plain = torch.load(value, weights_only=True)
        # Torch's planner loads with everything allowed, so it gets what was made of plain values.
        value.seek(0)
        value.truncate()
        torch.save(plain, value)
        value.seek(0)
        super().load_bytes(read_item, value)


def load_shards(state: dict[str, Any], folder: Path, alone: bool = False) -> None:
    """Fill a state with the values of a folder of shards, in place.

    Args:
        state: What is wanted, under the names in the folder.
        folder: Of the shards.
        alone: Whether this process reads everything; else all ranks read together.
    """
    load(state, storage_reader=_Reader(folder), planner=_Planner(), no_dist=alone)


def write_checksums(folder: Path) -> None:
    """Write down the checksum of every file of a folder; collective, each rank reads its own."""
    mine = f"__{rank()}_"
    names = [
        path.name
        for path in folder.iterdir()
        if path.name.startswith(mine) or (rank() == 0 and not path.name.startswith("__"))
    ]
    sums = {name: _checksum(folder / name) for name in names}
    merged = {name: value for part in gather(sums) for name, value in part.items()}
    if rank() == 0:
        (folder / CHECKSUMS).write_text(json.dumps(merged, indent=2) + "\n")


def damaged_file(folder: Path) -> str | None:
    """The name of a file that is not as it was written, or None."""
    for name, expected in json.loads((folder / CHECKSUMS).read_text()).items():
        if not (folder / name).is_file() or _checksum(folder / name) != expected:
            return name
    return None


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "blake2b").hexdigest()
