"""Which files this thread can read, for good (Landlock, see landlock(7)); it can write none."""

import ctypes
import os
import struct
from collections.abc import Iterable

CREATE, ADD_RULE, RESTRICT = 444, 445, 446
"""Numbers of the system calls, the same on all architectures."""
ALL_RIGHTS = (1 << 13) - 1
READ = 1 << 2 | 1 << 3
"""To read a file, to list a folder."""
BENEATH = 1


def read_only_beneath(folders: Iterable[str]) -> None:
    """Leave nothing to be opened but what is in some folders, and that to read. No privilege.

    Raises:
        OSError: The kernel cannot (older than 5.13, or without Landlock).
    """
    libc = ctypes.CDLL(None, use_errno=True)

    def call(number: int, *arguments: object) -> int:
        result = libc.syscall(number, *arguments)
        if result < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        return result

    rights = struct.pack("Q", ALL_RIGHTS)
    rules = call(CREATE, ctypes.c_char_p(rights), ctypes.c_size_t(len(rights)), 0)
    for folder in folders:
        if not os.path.isdir(folder):
            continue
        place = os.open(folder, os.O_PATH | os.O_CLOEXEC)
        rule = struct.pack("=Qi", READ, place)
        call(ADD_RULE, rules, BENEATH, ctypes.c_char_p(rule), 0)
        os.close(place)
    call(RESTRICT, rules, 0)
    os.close(rules)
