"""Files and folders that are whole or not there."""

import errno
import filecmp
import logging
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from torch.distributed.checkpoint.api import CheckpointException

logger = logging.getLogger(__name__)

UNFINISHED = ".part"
"""Suffix of a file or folder that is being written."""
DAMAGED = ".damaged"
"""Suffix of what cannot be read and stood where a file belongs."""
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def written_whole(path: Path, mode: str = "wb", **options: Any) -> Iterator[IO[Any]]:
    """Open a file beside `path` that takes its place once it is on the disk.

    A kill leaves what was there before; so does an exception, and nothing else. A link that leads
    out of its folder stays, and the file that it leads to is replaced. A folder in the file's place
    is set aside.

    Args:
        path: Where the content belongs.
        mode: See `open`.
        options: Of `open`.
    """
    if path.is_symlink() and path.resolve().parent != path.parent.resolve():
        path = path.resolve()
    if path.is_dir():
        set_aside(path)
    unfinished = path.with_name(path.name + UNFINISHED)
    # What a kill has left there may be another name of a whole file.
    unfinished.unlink(missing_ok=True)
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


def link_if_equal(path: Path, other: Path) -> bool:
    """Let a file be another name of one that has the same bytes, so that they are stored once.

    Both are to be replaced as wholes, never written into.

    Args:
        path: The file that becomes a link.
        other: What it may be equal to; need not be there.

    Returns:
        Whether they are one file now. Not every file system can do that.
    """
    same_name = path.resolve() == other.resolve()
    if same_name or not other.is_file() or not filecmp.cmp(path, other, shallow=False):
        return False
    linked = path.with_name(path.name + UNFINISHED)
    try:
        linked.unlink(missing_ok=True)
        os.link(other.resolve(), linked)
    except OSError:
        return False
    linked.replace(path)
    # Where both are one file already, the line above leaves the second name.
    linked.unlink(missing_ok=True)
    return True


def set_aside(path: Path) -> None:
    """Rename what cannot be read, so that a new file can take its place; says so."""
    aside = path.with_name(path.name + DAMAGED)
    number = 1
    while aside.exists() or aside.is_symlink():
        number += 1
        aside = path.with_name(f"{path.name}{DAMAGED}{number}")
    path.rename(aside)
    logger.warning("%s: cannot be read; it is now %s", path, aside.name)


def why_not_written(error: BaseException | None, folder: Path) -> str | None:
    """Why something could not be kept in a folder; None for errors that have other causes."""
    if is_disk_full(error):
        return "no room left on the disk"
    while error is not None:
        if isinstance(error, OSError) and error.filename is not None:
            path = Path(os.fsdecode(error.filename)).absolute()
            if path.is_relative_to(folder.absolute()) or folder.absolute().is_relative_to(path):
                return f"{path} cannot be written ({error.strerror})"
        error = error.__cause__ or error.__context__
    return None


def is_disk_full(error: BaseException | None) -> bool:
    """Whether an error comes from a disk that takes no more, by itself or through torch."""
    if isinstance(error, CheckpointException):
        return any(is_disk_full(failure) for failure, _ in error.failures.values())
    while error is not None:
        if isinstance(error, OSError) and error.errno in FULL:
            return True
        # Torch loses where an error comes from on its way from one rank to another; safetensors and
        # others that are not written in Python leave it in the text.
        number = re.search(r"\(os error (\d+)\)", str(error))
        if number and int(number[1]) in FULL:
            return True
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
