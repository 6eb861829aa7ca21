"""Which of a run's searches something belongs to."""

from typing import NamedTuple


class Search(NamedTuple):
    """A search, by when it was made: `p2o_callbacks.Moment` without torch, which that loads.

    Attributes:
        epoch: At hand; the first is 0.
        step: Optimiser steps made by then, of a search within an epoch; None for one before it.
    """

    epoch: int
    step: int | None = None

    @property
    def key(self) -> str:
        """A name without blanks, in the order of time.

        >>> Search(3).key, Search(3, 12).key
        ('epoch_0003', 'epoch_0003_step_00000012')
        """
        within = "" if self.step is None else f"_step_{self.step:08d}"
        return f"epoch_{self.epoch:04d}{within}"

    def __str__(self) -> str:
        """In words.

        >>> print(Search(3), "or", Search(3, 12))
        before epoch 3 or in epoch 3, after step 12
        """
        if self.step is None:
            return f"before epoch {self.epoch}"
        return f"in epoch {self.epoch}, after step {self.step}"
