"""A deadline for other processes that counts what they do, and not how busy the machine is."""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

PATIENCE = 30.0
"""Times its seconds a deadline lasts by the clock, whatever the processes did meanwhile."""
LOOK_SECONDS = 0.1
"""Between two looks at the processes."""
ASLEEP = frozenset("SITtZXx")
"""States of a thread that neither runs nor waits for a processor or a disk; see proc(5)."""
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
"""Of the kernel's accounts of processor time."""


@dataclass(frozen=True)
class Usage:
    """What a process has done so far.

    Attributes:
        seconds: Of processor time, of all its threads.
        asleep: Whether none of its threads wants a processor now.
    """

    seconds: float
    asleep: bool


def usage_of(pid: int) -> Usage | None:
    """What a process has done; None where it has ended or the system does not tell."""
    folder = Path(f"/proc/{pid}")
    try:
        fields = _fields(folder / "stat")
        threads = [_fields(path) for path in folder.glob("task/*/stat")]
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return None
    seconds = (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND
    return Usage(seconds, all(thread[0] in ASLEEP for thread in threads or [fields]))


def _fields(path: Path) -> list[str]:
    """The fields from the state on; the name before it may hold anything."""
    return path.read_text(errors="replace").rpartition(")")[2].split()


class Deadline:
    """Seconds that processes may work or sleep from now on; waiting for a processor is free.

    Where the system does not tell what they do, all time counts.

    Args:
        pids: Of the processes.
        seconds: For all of them together.
        patience: See `PATIENCE`.
    """

    def __init__(self, pids: Sequence[int], seconds: float, patience: float = PATIENCE) -> None:
        self.seconds = seconds
        self._used = {pid: usage.seconds if (usage := usage_of(pid)) else 0.0 for pid in pids}
        self._counted = 0.0
        self._last = time.monotonic()
        self._end = self._last + patience * seconds

    @property
    def pause(self) -> float:
        """Seconds after which to look again."""
        return min(LOOK_SECONDS, self.seconds / 4)

    def missed(self) -> bool:
        """Whether the time is over. Sleep is seen by looking, so look every `pause` seconds."""
        now = time.monotonic()
        passed, self._last = now - self._last, now
        usages = {pid: usage_of(pid) for pid in self._used}
        worked = 0.0
        for pid, usage in usages.items():
            if usage is not None:
                worked += usage.seconds - self._used[pid]
                self._used[pid] = usage.seconds
        asleep = all(usage is None or usage.asleep for usage in usages.values())
        self._counted += max(worked, passed) if asleep else worked
        return self._counted >= self.seconds or now >= self._end
