"""How far an epoch of training has come: the batch at hand, which a checkpoint holds."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from p2o.errors import UserError
from p2o.learning.minibatch import MiniBatch
from p2o.running.distributed import gather, rank, world_size


@dataclass(frozen=True)
class BatchAtHand:
    """The micro-batches that the next updates are made with, and their place in the epoch.

    Attributes:
        epoch: The one that it belongs to.
        start: Micro-batches of the epoch that came before it.
        cursor: Prompts of the epoch that were taken for it and for what came before it.
        micro_batches: This rank's; None for those of a step without gradient.
        metrics: What was logged of it.
        ranks: How many share it.
    """

    epoch: int = -1
    start: int = 0
    cursor: int = 0
    micro_batches: Sequence[MiniBatch | None] = ()
    metrics: Mapping[str, float] = field(default_factory=dict)
    ranks: int = 1

    def of_epoch(self, epoch: int) -> "BatchAtHand":
        """What there is of an epoch: the batch at hand in one that was broken off, else none yet.

        Raises:
            UserError: Another number of ranks has begun it.
        """
        if self.epoch != epoch:
            return BatchAtHand(epoch, ranks=world_size())
        if self.ranks != world_size():
            raise UserError(
                f"the checkpoint was written in the middle of an epoch by {self.ranks} ranks, and "
                f"there are {world_size()}; resume with as many, or from the end of an epoch"
            )
        return self

    def followed_by(
        self,
        micro_batches: Sequence[MiniBatch | None],
        cursor: int,
        metrics: Mapping[str, float],
    ) -> "BatchAtHand":
        """The next batch of the epoch."""
        return BatchAtHand(self.epoch, self.end, cursor, micro_batches, metrics, self.ranks)

    @property
    def end(self) -> int:
        """Micro-batches of the epoch until its end."""
        return self.start + len(self.micro_batches)

    def from_step(self, step: int) -> Iterator[tuple[int, MiniBatch | None]]:
        """Its micro-batches from a place in the epoch on, with theirs."""
        first = max(0, step - self.start)
        yield from enumerate(self.micro_batches[first:], self.start + first)

    def state_dict(self, step: int) -> dict[str, Any]:
        """What is left of it for updates from a place in the epoch on, of all ranks."""
        first = max(0, step - self.start)
        rest = [batch and batch.state_dict() for batch in self.micro_batches[first:]]
        return {
            "epoch": self.epoch,
            "start": self.start + first,
            "cursor": self.cursor,
            # An update has been made with it: they are written down.
            "metrics": {} if first else dict(self.metrics),
            "micro_batches": gather(rest),
        }

    @classmethod
    def from_state(cls, state_dict: Mapping[str, Any]) -> "BatchAtHand":
        """What `state_dict` wrote, with this rank's share."""
        everyones = state_dict["micro_batches"]
        mine = everyones[rank()] if rank() < len(everyones) else []
        return cls(
            state_dict["epoch"],
            state_dict["start"],
            state_dict["cursor"],
            [batch and MiniBatch.from_state(batch) for batch in mine],
            state_dict["metrics"],
            len(everyones),
        )
