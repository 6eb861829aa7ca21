"""What is in a checkpoint, whether it is whole, and which one of a folder to go on from."""

import errno
import logging
import os
import pickle
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
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
OF_THE_MACHINE = (
    *(errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.ENOTCONN, errno.EACCES, errno.EPERM),
    *(errno.EMFILE, errno.ENFILE, errno.ENOMEM),
)
"""Errors of reading that say nothing of what is in a file: another machine may well read it."""


class CannotRead(UserError):
    """This machine cannot read a checkpoint, which may be whole."""


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Tell damage from what keeps this machine from reading.

    Raises:
        CannotRead: It is the machine.
        UserError: It is the checkpoint.
    """
    try:
        yield
    except UNREADABLE as error:
        number = errno.ENOMEM if isinstance(error, MemoryError) else getattr(error, "errno", None)
        if number in OF_THE_MACHINE:
            raise CannotRead(
                f"{path}: cannot be read here ({os.strerror(number)}), which need not be damage; "
                "mend that and start again"
            ) from error
        raise UserError(f"{path}: not a checkpoint, or a damaged one") from error


def newest_checkpoint(folder: Path) -> Path | None:
    """The whole checkpoint with the most updates, or None where there is none at all.

    Damaged ones are passed over with a warning. One that this machine cannot read is not: an older
    one would be taken in its place, by one rank of several perhaps.

    Raises:
        UserError: There are checkpoints, and all are damaged, or one cannot be read.
    """
    found: list[tuple[int, int, Path]] = []
    passed_over: list[Path] = []
    for path in _checkpoints_in(folder):
        # A link within the folder leads to a file that is there under its own name.
        if path.is_symlink() and path.resolve().parent == folder.resolve():
            continue
        try:
            step = int(read_header(path)["global_step"])
            with _reading(path):
                found.append((step, path.stat().st_mtime_ns, path))
        except CannotRead:
            raise
        except UserError as error:
            passed_over.append(path)
            logger.warning("%s; passing it over", error)
    for _, _, path in sorted(found, reverse=True):
        try:
            check_whole(path)
        except CannotRead:
            raise
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


def _checkpoints_in(folder: Path) -> list[Path]:
    # A glob finds nothing in a folder that may not be read.
    with _reading(folder):
        return sorted(p for p in folder.iterdir() if p.suffix == ".ckpt") if folder.is_dir() else []


def read_header(path: Path) -> dict[str, Any]:
    """A checkpoint without its tensors' values: trainer's progress, and the states of parts.

    Args:
        path: A file, or the folder of a sharded checkpoint.

    Raises:
        UserError: There is none, it is damaged, it cannot be read, or p2o-train has not written it.
    """
    with _reading(path):
        if not path.exists():
            link = path.is_symlink()
            where = f" (a link to {path.readlink()}, which is not there)" if link else ""
            raise UserError(f"{path}: no such checkpoint{where}")
        file = path
        if path.is_dir():
            if not all((path / name).is_file() for name in (INDEX, CHECKSUMS)):
                raise UserError(f"{path}: a sharded checkpoint that was not finished")
            file = path / PROGRESS
            read_index(path)
        content = torch.load(file, weights_only=True, mmap=True, map_location="meta")
    needed = ("RolloutDataModule", "global_step")
    if not isinstance(content, dict) or not all(name in content for name in needed):
        raise UserError(f"{path}: not a checkpoint of p2o-train")
    return content


def check_whole(path: Path) -> None:
    """Compare every byte that counts with the checksums written with it.

    A file has them inside: torch writes one with each record, as zip archives do, and does not
    look at it when it reads.

    Raises:
        UserError: Something is not as it was written, or cannot be read.
    """
    with _reading(path):
        if path.is_dir():
            damaged = damaged_file(path)
        else:
            with zipfile.ZipFile(path) as archive:
                damaged = archive.testzip()
    if damaged is not None:
        raise UserError(f"{path}: damaged; {damaged} is not as it was written")


def refuse_shards(path: Path) -> None:
    """Refuse the folder of a sharded checkpoint where only a file can be loaded.

    Raises:
        UserError: It is a folder.
    """
    if path.is_dir():
        raise UserError(f"{path}: a folder of shards, which only a sharded training loads")
