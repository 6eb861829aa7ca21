"""Stop after a number of floating-point operations, whatever they were made for."""

from typing import Any, Protocol, runtime_checkable

from p2o_callbacks.spending_budget import SpendingBudget


@runtime_checkable
class FlopsCounter(Protocol):
    """Knows how many floating-point operations the method has taken, template search included."""

    @property
    def training_flops(self) -> float:
        """Operations of all but held-out evaluation."""
        ...


class FlopsBudget(SpendingBudget):
    """Stops training at the first update after `max_flops`.

    A budget that is the same on every machine, for arms that differ in what they train on and
    score. How operations are counted is the project's to say.

    Args:
        max_flops: Operations to make, those of template search and scoring included.

    Example::

        Trainer(max_epochs=-1, callbacks=[FlopsBudget(1e18)])
    """

    argument, unit, counter = "max_flops", "operations", FlopsCounter

    def __init__(self, max_flops: float) -> None:
        super().__init__(max_flops)

    def count(self, counter: Any) -> float:
        """See `SpendingBudget.count`."""
        return counter.training_flops
