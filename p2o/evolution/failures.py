"""Parents and minibatches of a search that knows which failures have been paid for."""

import random
from collections import Counter
from collections.abc import Sequence
from typing import Any

from gepa.core.state import GEPAState
from gepa.strategies.proposal_sampling import ProposalTask

from p2o.evolution.adapter import COMPONENT, TemplateAdapter
from p2o.evolution.strategies import JudgedState, ParetoBeam

SEED = 0
"""Place of the empty template among gepa's candidates."""


class FailuresFirst:
    """Reflects on known failures, and starts again from the empty template beside the beam.

    A minibatch is filled with samples that its parent is known to fail: first those that no
    template of the search solves, then the others; then with samples that it has not been tried on.
    A known failure costs no metric call. Those of the bare prompt are known from training, so that
    a proposal from the empty template costs half. It is a parent once for each of the others, which
    have half of the width. A beam alone would leave it out as soon as it has a child that is
    better, and would have to find the template of the next kind of sample from one that suits
    another kind.

    Args:
        beam: Chooses the other parents.
        adapter: Knows the verdicts.
        train: Ids of the samples to reflect on, in gepa's order.
        dev: Ids of the dev samples.
        minibatch_size: Samples of a minibatch.
        generator: Source of randomness.
    """

    def __init__(
        self,
        beam: ParetoBeam,
        adapter: TemplateAdapter,
        train: Sequence[str],
        dev: Sequence[str],
        minibatch_size: int,
        generator: random.Random,
    ) -> None:
        self.beam, self.adapter, self.train, self.dev = beam, adapter, train, dev
        self.minibatch_size, self.generator = minibatch_size, generator
        self._shown: Counter[tuple[str, str]] = Counter()

    def sample_tasks(
        self, state: GEPAState[Any, Any], candidate_selector: Any, batch_sampler: Any, trainset: Any
    ) -> list[ProposalTask[Any, Any]]:
        """One (parent, minibatch) task for each parent."""
        judged: Any = JudgedState(state, self.adapter, self.dev)
        affordable = self.beam.affordable
        others = self.beam.parents(judged, affordable // 2, but=SEED)
        restarts = [SEED] * min(max(1, len(others)), affordable - len(others))
        texts = [candidate[COMPONENT] for candidate in state.program_candidates]
        solved = frozenset().union(*map(self.adapter.solved, texts))
        tasks = []
        for parent in self.beam.filled(restarts + others):
            ids = self._minibatch(texts[parent], solved)
            candidate = state.program_candidates[parent]
            tasks.append(ProposalTask(parent, candidate, ids, trainset.fetch(ids)))
        return tasks

    def _minibatch(self, template: str, solved: frozenset[str]) -> list[int]:
        """Places of the samples to show: of equals those that were shown least, at random."""
        places = list(range(len(self.train)))
        self.generator.shuffle(places)

        def rank(place: int) -> tuple[int, bool, int]:
            sample = self.train[place]
            verdict = self.adapter.verdict(template, sample)
            known = {False: 0, None: 1, True: 2}[verdict]
            return known, sample in solved, self._shown[template, sample]

        chosen = sorted(places, key=rank)[: self.minibatch_size]
        self._shown.update((template, self.train[place]) for place in chosen)
        return chosen
