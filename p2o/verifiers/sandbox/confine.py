"""Gives up all that a computation does not need."""

import ctypes
import os
import resource
from collections.abc import Sequence

from .landlock import read_only_beneath
from .seccomp import install_filter

SET_PARENT_DEATH_SIGNAL, SET_DUMPABLE, SET_NO_NEW_PRIVILEGES = 1, 4, 38
KILL = 9
LIBRARIES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64")


def limit(seconds: int, megabytes: int) -> None:
    """Bound what this process may use up, and end it with the one that started it.

    Args:
        seconds: Of processor time.
        megabytes: Of address space.
    """
    memory = megabytes * 2**20
    for kind, most in (
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_NOFILE, 64),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        _, hard = resource.getrlimit(kind)
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (most, most))
    libc = ctypes.CDLL(None)
    libc.prctl(SET_PARENT_DEATH_SIGNAL, KILL)
    # Nobody reads its memory, not even a process of the same user.
    libc.prctl(SET_DUMPABLE, 0)


def close_off(readable: Sequence[str] = ()) -> list[str]:
    """Leave this process its memory, what it has open and the standard library to read.

    Args:
        readable: More folders that may be read.

    Returns:
        What the kernel did not grant, a line for each; empty is as it should be.
    """
    ctypes.CDLL(None).prctl(SET_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    missing = []
    standard_library = os.path.dirname(os.__file__)
    folders = (standard_library, *LIBRARIES, *readable)
    for name, close in (
        ("files (Landlock)", lambda: read_only_beneath(map(os.path.realpath, folders))),
        ("system calls (seccomp)", install_filter),
    ):
        try:
            close()
        except OSError as error:
            missing.append(f"{name}: {error.strerror}")
    return missing
