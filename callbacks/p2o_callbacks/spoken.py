"""A search in words, where no progress bar shows it."""

import logging

from lightning.pytorch.utilities import rank_zero_info, rank_zero_only

from p2o_callbacks.protocols import Evolution, EvolutionProgress

logger = logging.getLogger(__name__)
LINES = 5
"""Lines about the progress of a search, at most."""


class SpokenSearch:
    """Says that a search begins, how far it is, and what came of it; see `EvolutionDisplay`.

    Lines go to the logger of ``p2o_callbacks`` where the program shows its messages, and otherwise
    to Lightning's, which does so by default.

    Args:
        name: Of the search.
        hard_samples: What is searched for.
    """

    def __init__(self, name: str, hard_samples: int) -> None:
        self._name, self._said = name, 0
        _say(f"{name}: searching templates for {several(hard_samples, 'hard sample')}")

    def evolution_progress(self, progress: EvolutionProgress) -> None:
        """Say it each time that another part of the budget is spent."""
        parts = LINES * progress.metric_calls // max(1, progress.budget)
        if parts > self._said:
            self._said = parts
            _say(
                f"{self._name}: {progress.metric_calls}/{progress.budget} metric calls, "
                f"best dev {progress.best_score:.2f}, pool {progress.pool_size}"
            )

    def evolution_end(self, outcome: str) -> None:
        """Say what came of it."""
        _say(f"{self._name}: {outcome}")


@rank_zero_only
def _say(line: str) -> None:
    if logger.isEnabledFor(logging.INFO):
        logger.info(line)
    else:
        rank_zero_info(line)


def several(number: int, noun: str) -> str:
    """A number with its noun.

    Example::

        >>> several(1, "step"), several(3, "step")
        ('1 step', '3 steps')
    """
    return f"{number} {noun}{'s' * (number != 1)}"


def outcome(hard_samples: int, evolution: Evolution) -> str:
    """What came of a search, in a few words."""
    leaks = evolution.leaks or 0
    told = f", {leaks} that give{'s' * (leaks == 1)} a sample away" if leaks else ""
    return f"{_found(hard_samples, evolution)}{told}"


def _found(hard_samples: int, evolution: Evolution) -> str:
    samples = several(hard_samples, "hard sample")
    if number := len(evolution.pool.in_use):
        return f"{several(number, 'template')} for {samples}"
    if evolution.pool.templates and evolution.pool.templates[0].empty:
        bare = evolution.pool.templates[0].score or 0.0
        return f"no template for {samples} (bare dev score {bare:.2f})"
    searched = evolution.metric_calls or evolution.candidates
    found = "no template" if searched else "no search"
    return f"{found} for {samples}"
