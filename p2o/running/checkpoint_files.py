"""What is in a checkpoint, whether it is whole, and which one of a folder to go on from."""

import logging
import pickle
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

import torch
from torch.distributed.checkpoint.api import CheckpointException

from p2o.errors import UserError
from p2o.running.shards import CHECKSUMS, INDEX, PROGRESS, damaged_file, read_index

logger = logging.getLogger(__name__)

UNREADABLE = (
    *(pickle.UnpicklingError, CheckpointException, RuntimeError, EOFError, OSError, MemoryError),
    *(AssertionError, AttributeError, LookupError, TypeError, ValueError),
    *(zipfile.BadZipFile, zlib.error, struct.error),
)
"""What torch and the zip format raise, according to which byte of a checkpoint is damaged."""


def newest_checkpoint(folder: Path) -> Path | None:
    """The whole checkpoint with the most updates, or None where there is none at all.

    Damaged ones are passed over with a warning.

    Raises:
        UserError: There are checkpoints, and all are damaged.
    """
    found: list[tuple[int, int, Path]] = []
    passed_over: list[Path] = []
    for path in sorted(folder.glob("*.ckpt")):
        # A link within the folder leads to a file that is there under its own name.
        if path.is_symlink() and path.resolve().parent == folder.resolve():
            continue
        try:
            step = int(read_header(path)["global_step"])
            found.append((step, path.stat().st_mtime_ns, path))
        except UserError as error:
            passed_over.append(path)
            logger.warning("%s; passing it over", error)
    for _, _, path in sorted(found, reverse=True):
        try:
            check_whole(path)
        except UserError as error:
            passed_over.append(path)
            logger.warning("%s; passing it over", error)
        else:
            return path
    if passed_over:
        raise UserError(
            f"no checkpoint in {folder} can be read; mend {passed_over[-1].name}, or "
            "remove them all to begin anew"
        )
    return None


def read_header(path: Path) -> dict[str, Any]:
    """A checkpoint without its tensors' values: trainer's progress, and the states of parts.

    Args:
        path: A file, or the folder of a sharded checkpoint.

    Raises:
        UserError: There is none, it is damaged, or p2o-train has not written it.
    """
    if not path.exists():
        where = f" (a link to {path.readlink()}, which is not there)" if path.is_symlink() else ""
        raise UserError(f"{path}: no such checkpoint{where}")
    file = path
    if path.is_dir():
        if not all((path / name).is_file() for name in (INDEX, CHECKSUMS)):
            raise UserError(f"{path}: a sharded checkpoint that was not finished")
        file = path / PROGRESS
    try:
        if path.is_dir():
            read_index(path)
        content = torch.load(file, weights_only=True, mmap=True, map_location="meta")
    except UNREADABLE as error:
        raise UserError(f"{path}: not a checkpoint, or a damaged one") from error
    needed = ("RolloutDataModule", "global_step")
    if not isinstance(content, dict) or not all(name in content for name in needed):
        raise UserError(f"{path}: not a checkpoint of p2o-train")
    return content


def check_whole(path: Path) -> None:
    """Compare every byte that counts with the checksums written with it.

    A file has them inside: torch writes one with each record, as zip archives do, and does not
    look at it when it reads.

    Raises:
        UserError: Something is not as it was written.
    """
    try:
        if path.is_dir():
            damaged = damaged_file(path)
        else:
            with zipfile.ZipFile(path) as archive:
                damaged = archive.testzip()
    except UNREADABLE as error:
        raise UserError(f"{path}: not a checkpoint, or a damaged one") from error
    if damaged is not None:
        raise UserError(f"{path}: damaged; {damaged} is not as it was written")


def refuse_shards(path: Path) -> None:
    """Refuse the folder of a sharded checkpoint where only a file can be loaded.

    Raises:
        UserError: It is a folder.
    """
    if path.is_dir():
        raise UserError(f"{path}: a folder of shards, which only a sharded training loads")
