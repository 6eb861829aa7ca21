"""A filter on system calls, for this process and for good (seccomp, see seccomp(2)).

No network, no new process, no signal to others, no file opened but to read it.
"""

import ctypes
import errno
import os
import platform
import struct

from .syscalls import RESTRICTED, SYSCALLS

ARCHITECTURES = {"x86_64": (0, 0xC000003E, 317), "aarch64": (1, 0xC00000B7, 277)}
"""Column in the tables of system calls, the kernel's name, and the number of seccomp itself."""
LOAD, EQUAL, AT_LEAST, ANY_BIT, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
ALLOW, FAIL, KILL = 0x7FFF0000, 0x00050000, 0x80000000
X32 = 0x40000000
"""Bit of the numbers of another set of system calls on x86_64."""
NUMBER, ARCHITECTURE, FIRST_ARGUMENT = 0, 4, 16
SET_FILTER, ALL_THREADS = 1, 1
CLONE_THREAD = 0x10000
TO_WRITE = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_TMPFILE
LAST_HARMLESS_FCNTL, DUPLICATE_FCNTL = 4, 1030
"""Commands after these say whom to send a signal, and which."""

Instruction = tuple[int, int, int, int]
"""Code, instructions to skip if true and if false, value."""


def filter_program(machine: str) -> list[Instruction]:
    """The filter as instructions of the classic Berkeley packet filter.

    Args:
        machine: ``x86_64`` or ``aarch64``.
    """
    column, kernel_name, _ = ARCHITECTURES[machine]
    numbers = {name: row[column] for name, row in {**SYSCALLS, **RESTRICTED}.items()}
    denied = FAIL | errno.EPERM
    program = [
        (LOAD, 0, 0, ARCHITECTURE),
        (EQUAL, 1, 0, kernel_name),
        (RETURN, 0, 0, KILL),
        (LOAD, 0, 0, NUMBER),
        (AT_LEAST, 0, 1, X32),
        (RETURN, 0, 0, denied),
    ]
    for name in SYSCALLS:
        program += _when(numbers[name], [(RETURN, 0, 0, ALLOW)])
    for name, place in (("open", 1), ("openat", 2)):
        program += _when(
            numbers[name],
            [
                (LOAD, 0, 0, FIRST_ARGUMENT + 8 * place),
                (ANY_BIT, 0, 1, TO_WRITE & ~os.O_DIRECTORY),
                (RETURN, 0, 0, denied),
                (RETURN, 0, 0, ALLOW),
            ],
        )
    thread = [
        (LOAD, 0, 0, FIRST_ARGUMENT),
        (ANY_BIT, 0, 1, CLONE_THREAD),
        (RETURN, 0, 0, ALLOW),
        (RETURN, 0, 0, denied),
    ]
    program += _when(numbers["clone"], thread)
    # Its flags are behind a pointer; libraries that do not find it take clone.
    program += _when(numbers["clone3"], [(RETURN, 0, 0, FAIL | errno.ENOSYS)])
    harmless = [
        (LOAD, 0, 0, FIRST_ARGUMENT + 8),
        (EQUAL, 1, 0, DUPLICATE_FCNTL),
        (AT_LEAST, 1, 0, LAST_HARMLESS_FCNTL + 1),
        (RETURN, 0, 0, ALLOW),
        (RETURN, 0, 0, denied),
    ]
    program += _when(numbers["fcntl"], harmless)
    return [*program, (RETURN, 0, 0, denied)]


def _when(number: int | None, then: list[Instruction]) -> list[Instruction]:
    return [] if number is None else [(EQUAL, 0, len(then), number), *then]


def install_filter() -> None:
    """Put the filter on all threads of this process. It needs no privilege.

    Raises:
        OSError: The kernel or the processor is not one that can.
    """
    machine = platform.machine()
    if machine not in ARCHITECTURES:
        raise OSError(errno.ENOSYS, f"no list of system calls for {machine}")
    program = filter_program(machine)
    code = b"".join(struct.pack("HBBI", *instruction) for instruction in program)
    buffer = ctypes.create_string_buffer(code, len(code))
    head = struct.pack("HP", len(program), ctypes.addressof(buffer))
    libc = ctypes.CDLL(None, use_errno=True)
    seccomp = ARCHITECTURES[machine][2]
    if libc.syscall(seccomp, SET_FILTER, ALL_THREADS, ctypes.c_char_p(head)) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
