"""Which parents a gepa iteration takes and which children it can afford to keep."""

import random
from collections import Counter
from collections.abc import Sequence
from itertools import cycle, islice
from typing import Any

from gepa.core.state import GEPAState
from gepa.gepa_utils import remove_dominated_programs
from gepa.proposer.base import CandidateProposal
from gepa.strategies.acceptance import AcceptanceCriterion
from gepa.strategies.proposal_sampling import ProposalTask

from p2o.evolution.adapter import COMPONENT, TemplateAdapter, judged_gain
from p2o.evolution.stopping import Budget


class ParetoBeam:
    """Up to `width` parents from the per-instance Pareto front, without replacement.

    The whole front when it is no larger; else drawn by weight, the number of dev samples on which
    a candidate is on the front. Dominated candidates are left out first, as gepa does.

    Args:
        width: W of the paper.
        budget: Limits the number of parents to what can be paid for.
        generator: Source of randomness.
        fill: Whether parents are taken again, where there are fewer, so that an iteration has
            `width` proposals.
    """

    def __init__(
        self, width: int, budget: Budget, generator: random.Random, fill: bool = False
    ) -> None:
        self.width, self.budget, self.generator, self.fill = width, budget, generator, fill

    def sample_tasks(
        self, state: GEPAState[Any, Any], candidate_selector: Any, batch_sampler: Any, trainset: Any
    ) -> list[ProposalTask[Any, Any]]:
        """One (parent, minibatch) task for each parent."""
        tasks = []
        for parent in self.filled(self.parents(state)):
            samples = batch_sampler.next_minibatch_ids(trainset, state)
            tasks.append(
                ProposalTask(
                    parent, state.program_candidates[parent], samples, trainset.fetch(samples)
                )
            )
        return tasks

    def parents(
        self, state: GEPAState[Any, Any], most: int | None = None, but: int | None = None
    ) -> list[int]:
        """Places of the parents among gepa's candidates.

        Args:
            state: Of the search.
            most: How many at the most; as many as are affordable when left out.
            but: The place of one that is left out.
        """
        fronts = state.get_pareto_front_mapping()
        scores = state.per_program_tracked_scores
        count = self.affordable if most is None else most
        return draw_from_fronts(fronts, scores, count, self.generator, but)

    def filled(self, parents: Sequence[int]) -> list[int]:
        """The same parents; taken in turn until the width is full, where it is to be filled."""
        return [*islice(cycle(parents), self.affordable)] if self.fill else [*parents]

    @property
    def affordable(self) -> int:
        """How many proposals one iteration may make."""
        return min(self.width, self.budget.proposals)


class JudgedState:
    """gepa's state as verdicts have it: a trial without one is no score on a dev sample.

    gepa wants a score of each dev sample. A candidate whose verdict is missing on one is neither
    among the best on it nor better or worse for it.

    Args:
        state: What everything else is asked of.
        adapter: Knows the verdicts.
        dev: Ids of the dev samples.
    """

    def __init__(
        self, state: GEPAState[Any, Any], adapter: TemplateAdapter, dev: Sequence[str]
    ) -> None:
        self._state = state
        self._scores = [
            adapter.scores(candidate[COMPONENT], dev) for candidate in state.program_candidates
        ]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._state, name)

    @property
    def per_program_tracked_scores(self) -> list[float]:
        """Mean score of each candidate."""
        return [sum(scores.values()) / max(1, len(scores)) for scores in self._scores]

    def get_pareto_front_mapping(self) -> dict[str, set[int]]:
        """The best candidates on each dev sample."""
        best: dict[str, float] = {}
        for scores in self._scores:
            best |= {
                sample: max(score, best.get(sample, score)) for sample, score in scores.items()
            }
        return {
            sample: {i for i, scores in enumerate(self._scores) if scores.get(sample) == score}
            for sample, score in best.items()
        }


class JudgedBeam:
    """Parents as a beam takes them, from the state as verdicts have it."""

    def __init__(self, beam: ParetoBeam, adapter: TemplateAdapter, dev: Sequence[str]) -> None:
        self.beam, self.adapter, self.dev = beam, adapter, dev

    def sample_tasks(
        self, state: GEPAState[Any, Any], candidate_selector: Any, batch_sampler: Any, trainset: Any
    ) -> list[ProposalTask[Any, Any]]:
        """See `ParetoBeam`."""
        judged: Any = JudgedState(state, self.adapter, self.dev)
        return self.beam.sample_tasks(judged, candidate_selector, batch_sampler, trainset)


class AffordableImprovements:
    """Accept every improvement the budget can evaluate in full, the largest gains first.

    Args:
        budget: What is left to spend.
    """

    def __init__(self, budget: Budget) -> None:
        self.budget = budget

    def select(
        self,
        proposals: list[CandidateProposal[Any]],
        state: GEPAState[Any, Any],
        acceptance_criterion: AcceptanceCriterion,
    ) -> list[CandidateProposal[Any]]:
        """Choose among evaluated proposals, each candidate once and none that the pool has."""
        known = {tuple(sorted(candidate.items())) for candidate in state.program_candidates}
        better = []
        for proposal in sorted(proposals, key=gain, reverse=True):
            content = tuple(sorted(proposal.candidate.items()))
            if content not in known and acceptance_criterion.should_accept(proposal, state):
                known.add(content)
                better.append(proposal)
        return better[: self.budget.acceptances]


class JudgedImprovement:
    """Accepts a child that gains on its minibatch, by the samples on which both have a verdict."""

    def should_accept(self, proposal: CandidateProposal[Any], state: GEPAState[Any, Any]) -> bool:
        """See gepa's `AcceptanceCriterion`."""
        return gain(proposal) > 0


def gain(proposal: CandidateProposal[Any]) -> float:
    """What a child scores more than its parent on the samples on which both have a verdict."""
    if proposal.eval_before is None or proposal.eval_after is None:
        return 0.0
    return judged_gain(proposal.eval_before.outputs, proposal.eval_after.outputs)


def draw_from_fronts(
    fronts: Any,
    scores: Sequence[float],
    count: int,
    generator: random.Random,
    but: int | None = None,
) -> list[int]:
    """Draw up to `count` parents from Pareto fronts, without replacement.

    Args:
        fronts: By sample, the places of the candidates that are best on it.
        scores: Of each candidate; dominated ones are left out, as gepa does.
        count: How many at the most.
        generator: Source of randomness. The weight of a candidate is its number of fronts.
        but: The place of a candidate that is left out; what it dominates is, too.
    """
    left = remove_dominated_programs(fronts, scores=list(scores))
    weights = Counter(c for front in left.values() for c in front if c != but)
    return draw_without_replacement(weights, count, generator)


def draw_without_replacement(
    weights: dict[int, int], count: int, generator: random.Random
) -> list[int]:
    """Draw up to `count` keys by weight; all of them, in order, when there are no more."""
    if len(weights) <= count:
        return sorted(weights)
    left, drawn = dict(sorted(weights.items())), []
    for _ in range(count):
        drawn.append(generator.choices(list(left), list(left.values()))[0])
        del left[drawn[-1]]
    return drawn
