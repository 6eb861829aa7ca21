"""gepa's reflection interface on top of a reflection backend: all proposals of a stage at once."""

from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

from gepa.core.state import GEPAState
from gepa.proposer.reflective_mutation.reflection_lm import ReflectionProposal

from p2o.evolution.adapter import COMPONENT
from p2o.evolution.trace import Reflected
from p2o.hints.insertion import read_template
from p2o.reflection.base import Reflection, ReflectionRequest, last_exchanges
from p2o.running.seeds import derive_seed
from p2o_callbacks.candidates import Exchange

MOST_TRIES = 10
"""Minibatches on which a template is tried that gains on none of them.

One that solves a tenth of the samples gains on one of ten minibatches of 3 in 96 % of cases.
"""

SEED_TRIES = 2
"""Minibatches on which a template from an earlier run is tried that is not in the pool by then."""

Job = tuple[dict[str, str], Mapping[str, Sequence[Mapping[str, Any]]], list[str]]


class Reflector:
    """Hands gepa's reflection jobs to a backend in one batch.

    A failed reflection, or one that writes what the pool has or what was tried in vain often
    enough, proposes nothing: gepa then spends no metric calls on a child. An error of the backend
    ends the search: gepa would log it, ask again one by one and go on, so it is kept here for the
    search to raise.

    Args:
        reflection: The backend.
        seed: Each request of a search gets a seed of its own from it.
        told: Called with what came of the jobs of each batch.
        admits: Whether a template may come into the search.
        first: Templates of an earlier run, which are proposed before the backend is asked.

    Attributes:
        asked: Templates asked for.
        proposed: Templates that were to be tried.
    """

    def __init__(
        self,
        reflection: Reflection,
        seed: int,
        told: Callable[[Sequence[Reflected]], None] | None = None,
        admits: Callable[[str], bool] = lambda template: True,
        first: Sequence[str] = (),
    ) -> None:
        self._reflection, self._seed, self._told = reflection, seed, told
        self._admits, self._first = admits, deque([*first] * SEED_TRIES)
        self.asked = self.proposed = 0
        self._tries: Counter[str] = Counter()
        self._pool: set[str] = set()
        self.error: Exception | None = None

    def failed(self, gepa_state: GEPAState[Any, Any]) -> bool:
        """Whether to stop, as gepa's stoppers are asked."""
        return self.error is not None

    def on_valset_evaluated(self, event: Any) -> None:
        """Note what is in the pool; see gepa's callbacks."""
        self._pool.add(event["candidate"][COMPONENT])

    def reflect_many(self, jobs: list[Job]) -> list[tuple[ReflectionProposal, Self]]:
        """One proposal for each job."""
        if self.error is not None:
            raise self.error
        try:
            return [(proposal, self) for proposal in self._propose(jobs)]
        except Exception as error:
            self.error = error
            raise

    def _propose(self, jobs: list[Job]) -> list[ReflectionProposal]:
        # What an earlier run found comes first, one for each job.
        given = self._from_earlier(len(jobs))
        requests = []
        for (candidate, records, _), text in zip(jobs, given, strict=True):
            if text is not None:
                continue
            self.asked += 1
            seed = derive_seed(self._seed, "reflection", self.asked)
            requests.append(ReflectionRequest(candidate[COMPONENT], records[COMPONENT], seed))
        texts = self._reflection.reflect(requests) if requests else []
        exchanges = last_exchanges(self._reflection, len(requests)) if requests else []
        written = iter(list(zip(texts, exchanges, requests, strict=True)))
        outcomes = []
        for text in given:
            proposed, exchange = next(written)[:2] if text is None else (text, None)
            outcomes.append(self._outcome(proposed, exchange))
        if self._told is not None:
            self._told(outcomes)
        return [
            ReflectionProposal({COMPONENT: outcome.text} if outcome.text else {})
            for outcome in outcomes
        ]

    def _from_earlier(self, jobs: int) -> list[str | None]:
        """A template of an earlier run for each job, as far as they go; None for the others.

        No text is given twice: its second try waits until it is known what came of the first.
        """
        given: list[str] = []
        waiting: list[str] = []
        while self._first and len(given) < jobs:
            text = self._first.popleft()
            if text in given:
                waiting.append(text)
            elif text not in self._pool and self._admits(text):
                given.append(text)
        self._first.extendleft(reversed(waiting))
        return [*given, *[None] * (jobs - len(given))]

    def _outcome(self, written: str | None, exchange: Exchange | None) -> Reflected:
        text = read_template(written)
        if text is None:
            return Reflected("", "nothing was written that can be a template", exchange)
        if text in self._pool:
            return Reflected("", "the search has found it before", exchange)
        if self._tries[text] == MOST_TRIES:
            return Reflected("", f"tried on {MOST_TRIES} minibatches in vain", exchange)
        if not self._admits(text):
            return Reflected("", "it gives a problem away", exchange)
        self._tries[text] += 1
        self.proposed += 1
        return Reflected(text, exchange=exchange)

    def reflect(
        self,
        candidate: dict[str, str],
        reflective_dataset: Mapping[str, Sequence[Mapping[str, Any]]],
        components_to_update: list[str],
    ) -> tuple[ReflectionProposal, Self]:
        """One proposal."""
        return self.reflect_many([(candidate, reflective_dataset, components_to_update)])[0]
