"""gepa's reflection interface on top of a reflection backend: all proposals of a stage at once."""

from collections.abc import Mapping, Sequence
from typing import Any, Self

from gepa.core.state import GEPAState
from gepa.proposer.reflective_mutation.reflection_lm import ReflectionProposal

from p2o.evolution.adapter import COMPONENT
from p2o.reflection.base import Reflection, ReflectionRequest
from p2o.seeds import derive_seed

Job = tuple[dict[str, str], Mapping[str, Sequence[Mapping[str, Any]]], list[str]]


class Reflector:
    """Hands gepa's reflection jobs to a backend in one batch.

    A failed reflection, or one that writes its parent again, proposes nothing: gepa then spends no
    metric calls on a child. An error of the backend ends the search: gepa would log it, ask again
    one by one and go on, so it is kept here for the search to raise.

    Args:
        reflection: The backend.
        seed: Each request of a search gets a seed of its own from it.
    """

    def __init__(self, reflection: Reflection, seed: int) -> None:
        self._reflection, self._seed, self._count = reflection, seed, 0
        self.error: Exception | None = None

    def failed(self, gepa_state: GEPAState[Any, Any]) -> bool:
        """Whether to stop, as gepa's stoppers are asked."""
        return self.error is not None

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
        requests = []
        for candidate, records, _ in jobs:
            self._count += 1
            seed = derive_seed(self._seed, "reflection", self._count)
            requests.append(ReflectionRequest(candidate[COMPONENT], records[COMPONENT], seed))
        texts = self._reflection.reflect(requests)
        return [
            ReflectionProposal({} if text in (None, request.template) else {COMPONENT: text})
            for text, request in zip(texts, requests, strict=True)
        ]

    def reflect(
        self,
        candidate: dict[str, str],
        reflective_dataset: Mapping[str, Sequence[Mapping[str, Any]]],
        components_to_update: list[str],
    ) -> tuple[ReflectionProposal, Self]:
        """One proposal."""
        return self.reflect_many([(candidate, reflective_dataset, components_to_update)])[0]
