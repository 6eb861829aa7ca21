"""Stop after a time that was worked for the method, whatever was done in it."""

from typing import Any, Protocol, runtime_checkable

from p2o_callbacks.spending_budget import SpendingBudget


@runtime_checkable
class TimeCounter(Protocol):
    """Knows for how long the method has worked, template search and scoring included."""

    @property
    def training_seconds(self) -> float:
        """Seconds of wall-clock time, all but those of held-out evaluation; equal on all ranks."""
        ...


class TimeBudget(SpendingBudget):
    """Stops training at the first update after `max_seconds`.

    What is as costly on one machine is not on another, nor on a busy one.

    Args:
        max_seconds: Seconds to work, those of template search and scoring included; seconds of work
            that was lost in a kill do not count.

    Example::

        Trainer(max_epochs=-1, callbacks=[TimeBudget(3600)])
    """

    argument, unit, counter = "max_seconds", "seconds", TimeCounter

    def __init__(self, max_seconds: float) -> None:
        super().__init__(max_seconds)

    def count(self, counter: Any) -> float:
        """See `SpendingBudget.count`."""
        return counter.training_seconds
