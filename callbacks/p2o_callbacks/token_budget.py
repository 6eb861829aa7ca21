"""Stop after a number of generated tokens, whatever they were generated for."""

from typing import Any, Protocol, runtime_checkable

from p2o_callbacks.spending_budget import SpendingBudget


@runtime_checkable
class TokenCounter(Protocol):
    """Knows how many tokens were generated for the method, template search included."""

    @property
    def training_tokens(self) -> int:
        """Tokens of rollouts and reflections, all but those of held-out evaluation."""
        ...


class TokenBudget(SpendingBudget):
    """Stops training at the first update after `max_tokens`.

    Of arms whose responses differ in length, or which write many reflections, this is the fairer
    budget than `RolloutBudget`.

    Args:
        max_tokens: Tokens to generate, those of template search and reflections included.

    Example::

        Trainer(max_epochs=-1, callbacks=[TokenBudget(2_000_000)])
    """

    argument, unit, counter = "max_tokens", "tokens", TokenCounter

    def __init__(self, max_tokens: int) -> None:
        super().__init__(max_tokens)

    def count(self, counter: Any) -> int:
        """See `SpendingBudget.count`."""
        return counter.training_tokens
