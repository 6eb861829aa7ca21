"""What a search tells while gepa is at work."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from p2o.evolution.adapter import COMPONENT, TemplateAdapter
from p2o.evolution.stopping import Budget
from p2o_callbacks.protocols import EvolutionProgress


class Watch:
    """Passes on where gepa stands, as its callback.

    Args:
        budget: Of the search.
        report: Told whenever something has changed.
        adapter: Knows the scores.
        dev: Ids of the dev samples.

    Attributes:
        iterations: That have begun.
    """

    def __init__(
        self,
        budget: Budget,
        report: Callable[[EvolutionProgress], None],
        adapter: TemplateAdapter,
        dev: Sequence[str],
    ) -> None:
        self.budget, self.report, self.adapter, self.dev = budget, report, adapter, dev
        self.iterations, self.pool_size, self.best = 0, 0, 0.0

    def on_valset_evaluated(self, event: Any) -> None:
        """A candidate has joined the pool."""
        self.pool_size += 1
        scores = self.adapter.scores(event["candidate"][COMPONENT], self.dev)
        self.best = max(self.best, mean(scores) or 0.0)
        self._tell()

    def on_budget_updated(self, event: Any) -> None:
        """Metric calls were made."""
        self._tell()

    def on_iteration_start(self, event: Any) -> None:
        """Parents are about to be chosen."""
        self.iterations += 1

    def _tell(self) -> None:
        spent, calls = self.budget.spent, self.budget.calls
        self.report(EvolutionProgress(spent, calls, self.best, self.pool_size))


class Quiet:
    """Keeps gepa's log out of the terminal; its state files tell the same."""

    def log(self, message: str) -> None:
        """Say nothing."""


def mean(scores: Mapping[str, float]) -> float | None:
    """Of scores by sample; None where there is none."""
    return sum(scores.values()) / len(scores) if scores else None
