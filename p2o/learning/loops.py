"""All that p2o asks of the inside of Lightning's loops, and why.

What Lightning 2.6 says in public is taken from there: batches that are ready, their number in an
epoch, how many make an update. For the rest there is nothing public: no setting lets a run with
``max_steps`` begin the epoch after the one whose end its checkpoint holds, no method tells whether
an evaluation is due after a batch, and the step that an evaluation is logged at is a count that the
loop alone keeps.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from lightning.pytorch import Trainer

STEPPED = "_batches_that_stepped"
"""Attribute of the epoch loop, and key of its state: the step at which it logs."""


def never_close_an_epoch_twice(trainer: Trainer) -> None:
    """Let a checkpoint from an epoch's end begin the next epoch, also with ``max_steps``.

    A trainer that counts steps takes such an epoch for one that was broken off, and ends it once
    more.
    """
    loop: Any = trainer.fit_loop
    loop._iteration_based_training = _never


def evaluation_is_due(trainer: Trainer) -> bool:
    """Whether the trainer evaluates after this batch, were it not that the run ends."""
    loop: Any = trainer.fit_loop
    told, trainer.should_stop = trainer.should_stop, False
    try:
        due: bool = loop.epoch_loop._should_check_val_fx(loop._data_fetcher)
    finally:
        trainer.should_stop = told
    return due


@contextmanager
def at_the_last_step(trainer: Trainer) -> Iterator[int]:
    """Log at the step of the last update, as evaluations within an epoch are; gives the step."""
    loop = trainer.fit_loop.epoch_loop
    step: int = getattr(loop, STEPPED) - 1
    setattr(loop, STEPPED, step)
    try:
        yield step
    finally:
        setattr(loop, STEPPED, step + 1)


def _never() -> bool:
    return False
