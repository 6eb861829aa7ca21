"""Files and folders that are whole or not there."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from torch.distributed.checkpoint.api import CheckpointException

UNFINISHED = ".part"
"""Suffix of a file or folder that is being written."""
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def written_whole(path: Path, mode: str = "wb", **options: Any) -> Iterator[IO[Any]]:
    """Open a file beside `path` that takes its place once it is on the disk.

    A kill leaves what was there before; so does an exception, and nothing else.

    Args:
        path: Where the content belongs.
        mode: See `open`.
        options: Of `open`.
    """
    unfinished = path.with_name(path.name + UNFINISHED)
    try:
        with unfinished.open(mode, **options) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def replace_folder(unfinished: Path, target: Path) -> None:
    """Let a finished folder take the place of another, or of a file, once it is on the disk."""
    for path in unfinished.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())
    _sync_folder(unfinished)
    former = target.with_name(target.name + ".former")
    shutil.rmtree(former, ignore_errors=True)
    if target.is_dir():
        target.rename(former)
    else:
        target.unlink(missing_ok=True)
    unfinished.rename(target)
    _sync_folder(target.parent)
    shutil.rmtree(former, ignore_errors=True)


def is_disk_full(error: BaseException | None) -> bool:
    """Whether an error comes from a disk that takes no more, by itself or through torch."""
    if isinstance(error, CheckpointException):
        return any(is_disk_full(failure) for failure, _ in error.failures.values())
    while error is not None:
        if isinstance(error, OSError) and error.errno in FULL:
            return True
        # On its way from one rank to another torch's error loses where it comes from.
        if isinstance(error, RuntimeError) and "unexpected pos" in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
