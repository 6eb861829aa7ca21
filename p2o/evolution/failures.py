"""Parents and minibatches of a search that knows which failures have been paid for."""

import random
from collections import Counter, defaultdict
from collections.abc import Sequence
from heapq import nsmallest
from typing import Any

from gepa.core.state import GEPAState
from gepa.strategies.proposal_sampling import ProposalTask

from p2o.evolution.adapter import COMPONENT, TemplateAdapter
from p2o.evolution.strategies import JudgedState, ParetoBeam

SEED = 0
"""Place of the empty template among gepa's candidates."""
KNOWN = {False: 0, None: 1, True: 2}
"""Which verdicts come first in a minibatch."""


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
        # By template and place.
        self._shown: defaultdict[str, Counter[int]] = defaultdict(Counter)

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
        ranks: dict[str, list[tuple[int, bool]]] = {}
        tasks = []
        for parent in self.beam.filled(restarts + others):
            text = texts[parent]
            # One parent comes several times, and nothing is tried in between.
            if text not in ranks:
                ranks[text] = self._ranks(text, solved)
            ids = self._minibatch(text, ranks[text])
            candidate = state.program_candidates[parent]
            tasks.append(ProposalTask(parent, candidate, ids, trainset.fetch(ids)))
        return tasks

    def _ranks(self, template: str, solved: frozenset[str]) -> list[tuple[int, bool]]:
        """How far behind each sample is among those to show, by its place."""
        verdict = self.adapter.verdict
        return [(KNOWN[verdict(template, sample)], sample in solved) for sample in self.train]

    def _minibatch(self, template: str, ranks: Sequence[tuple[int, bool]]) -> list[int]:
        """Places of the samples to show: of equals those that were shown least, at random."""
        places = list(range(len(self.train)))
        self.generator.shuffle(places)
        shown = self._shown[template]
        # Of those with the same key the first ones, as sorting would have it.
        chosen = nsmallest(
            self.minibatch_size, places, lambda place: (ranks[place], shown.get(place, 0))
        )
        shown.update(chosen)
        return chosen
