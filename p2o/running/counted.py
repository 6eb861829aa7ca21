"""How far a long piece of sampling is: who begins it names it, and who does the work counts.

Where nobody watches a display, a slow run would say nothing for many minutes otherwise.
"""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rich.file_proxy import FileProxy

from p2o.running.distributed import rank, starting_rank, world_size
from p2o_callbacks.pace import Pace


@dataclass
class _Work:
    """What is under way.

    Attributes:
        what: Its name.
        total: Pieces of it, on all ranks.
        pace: When to say how far it is.
        done: Pieces that this rank has done.
    """

    what: str
    total: int
    pace: Pace
    done: int = 0

    def advance(self, count: int) -> None:
        """Count, and say how far it is when that is due. Ranks have equal shares."""
        self.done += count
        said = self.pace.due(min(self.total, self.done * world_size()))
        if said is not None and rank() == 0:
            print(f"  {self.what}: {said}", file=sys.stderr, flush=True)


_under_way: list[_Work] = []


def begin(what: str) -> None:
    """Say that a piece of work begins, where no live display does; rank 0 does."""
    # What rich puts in its place while it shows one
    shown = isinstance(sys.stderr, FileProxy)
    if starting_rank() == 0 and not shown:
        # In one piece, as it may come from another thread
        sys.stderr.write(f"start: {what}\n")
        sys.stderr.flush()


@contextmanager
def told_if_slow(what: str, seconds: float = 3.0) -> Iterator[None]:
    """Say that a piece of work has begun once it has taken so many seconds."""
    timer = threading.Timer(seconds, begin, [what])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


@contextmanager
def counted(what: str, total: int, announced: bool = False) -> Iterator[None]:
    """Name the work that is done inside; its progress is said about once a minute, by rank 0.

    Args:
        what: A few words.
        total: Pieces of it, on all ranks together.
        announced: Whether to say that it begins.
    """
    if announced:
        begin(f"{total} {what}")
    _under_way.append(_Work(what, total, Pace(total)))
    try:
        yield
    finally:
        _under_way.pop()


def advance(count: int = 0) -> None:
    """Count pieces of the work under way, if there is any; 0 tells that it goes on."""
    if _under_way:
        _under_way[-1].advance(count)
