"""The few collective operations that p2o needs; each is the identity in a single process."""

import ctypes
import logging
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

import torch.distributed as dist
from lightning.pytorch.utilities import rank_zero_only

from p2o.errors import EngineError, PeerError, UserError

logger = logging.getLogger(__name__)

RANK_ZERO = "P2O_RANK_ZERO"
"""Environment variable in which ranks that rank 0 has started find its process id."""
PR_SET_PDEATHSIG = 1


def world_size() -> int:
    """Number of ranks."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """This process's rank."""
    return dist.get_rank() if world_size() > 1 else 0


def starting_rank() -> int:
    """This process's rank as its starter has told it, before ranks have found each other."""
    known: Any = rank_zero_only
    # Where processes are started on each node by hand, they know their node's number alone.
    return known.rank or int(os.environ.get("NODE_RANK", 0))


def launched_from_outside() -> bool:
    """Whether torchrun or SLURM has started one process for each of several ranks."""
    torchrun = "TORCHELASTIC_RUN_ID" in os.environ and int(os.environ["WORLD_SIZE"]) > 1
    return torchrun or int(os.environ.get("SLURM_NTASKS", 1)) > 1 and "SLURM_PROCID" in os.environ


def end_with_rank_zero(rank_zero: bool) -> None:
    """Let the kernel end the ranks that rank 0 starts when rank 0 ends, whatever they are doing.

    One that waits for rank 0 would wait for half an hour, one that hangs for ever. Ranks that
    torchrun or SLURM has started are ended by these. On Linux alone.

    Args:
        rank_zero: Whether this is rank 0.
    """
    if rank_zero:
        os.environ[RANK_ZERO] = str(os.getpid())
    elif RANK_ZERO in os.environ and sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != int(os.environ[RANK_ZERO]):
            sys.exit("rank 0 has ended")


def gather(value: Any) -> list[Any]:
    """Every rank's value, on every rank."""
    if world_size() == 1:
        return [value]
    values: list[Any] = [None] * world_size()
    dist.all_gather_object(values, value)
    return values


def gather_shards(shard: list[Any]) -> list[Any]:
    """Undo ``items[rank::world_size]``: every rank gets all items in their first order."""
    return _interleave(gather(shard))


def gather_work(work: Callable[[], list[Any]]) -> list[Any]:
    """Like `gather_shards`, of what `work` returns; when it fails on one rank, all ranks fail.

    Raises:
        PeerError: On every rank; what a user is shown in one line keeps its type. The rank that
            failed logs where.
    """
    if world_size() == 1:
        return work()
    outcomes = gather(_attempt(work))
    _raise_first([failure for _, failure in outcomes])
    return _interleave([share for share, _ in outcomes])


def together(work: Callable[[], Any]) -> Any:
    """What `work` returns on this rank; when it fails on one rank, all ranks fail.

    Raises:
        PeerError: See `gather_work`.
    """
    if world_size() == 1:
        return work()
    result, failure = _attempt(work)
    _raise_first(gather(failure))
    return result


def on_rank_zero(work: Callable[[], Any]) -> Any:
    """What `work` returns on rank 0, where alone it is called; when it fails, all ranks fail.

    Raises:
        PeerError: See `gather_work`.
    """
    if world_size() == 1:
        return work()
    result, failure = from_rank_zero(_attempt(work) if rank() == 0 else None)
    _raise_first([failure])
    return result


def maximum(value: int) -> int:
    """The largest of all ranks' values."""
    return max(gather(value))


def from_rank_zero(value: Any) -> Any:
    """Rank 0's value, on every rank."""
    if world_size() == 1:
        return value
    box = [value]
    dist.broadcast_object_list(box, src=0)
    return box[0]


def _interleave(shards: list[list[Any]]) -> list[Any]:
    items: list[Any] = [None] * sum(map(len, shards))
    for index, part in enumerate(shards):
        items[index :: len(shards)] = part
    return items


def _attempt(work: Callable[[], Any]) -> tuple[Any, Exception | None]:
    """What work returns, and why it failed in a form that can be sent."""
    try:
        return work(), None
    except (UserError, EngineError) as error:
        return None, type(error)(f"{error} (on rank {rank()})")
    except Exception as error:  # Raised on all ranks, once all know.
        logger.exception("rank %d failed", rank())
        lines = str(error).splitlines() or [""]
        return None, PeerError(f"rank {rank()} failed: {type(error).__name__}: {lines[0]}")


def _raise_first(failures: list[Exception | None]) -> None:
    for failure in failures:
        if failure is not None:
            raise failure
