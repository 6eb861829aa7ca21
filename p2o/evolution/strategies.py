"""Which parents a gepa iteration takes and which children it can afford to keep."""

import random
from typing import Any

from gepa.core.state import GEPAState
from gepa.gepa_utils import remove_dominated_programs
from gepa.proposer.base import CandidateProposal
from gepa.strategies.acceptance import AcceptanceCriterion
from gepa.strategies.proposal_sampling import ProposalTask

from p2o.evolution.stopping import Budget


class ParetoBeam:
    """Up to `width` parents from the per-instance Pareto front, without replacement.

    The whole front when it is no larger; else drawn by weight, the number of dev samples on which
    a candidate is on the front. Dominated candidates are left out first, as gepa does.

    Args:
        width: W of the paper.
        budget: Limits the number of parents to what can be paid for.
        generator: Source of randomness.
    """

    def __init__(self, width: int, budget: Budget, generator: random.Random) -> None:
        self.width, self.budget, self.generator = width, budget, generator

    def sample_tasks(
        self, state: GEPAState[Any, Any], candidate_selector: Any, batch_sampler: Any, trainset: Any
    ) -> list[ProposalTask[Any, Any]]:
        """One (parent, minibatch) task for each parent."""
        fronts = remove_dominated_programs(
            state.get_pareto_front_mapping(), scores=state.per_program_tracked_scores
        )
        weights: dict[int, int] = {}
        for front in fronts.values():
            for candidate in sorted(front):
                weights[candidate] = weights.get(candidate, 0) + 1
        parents = draw_without_replacement(
            weights, min(self.width, self.budget.proposals(state)), self.generator
        )
        tasks = []
        for parent in parents:
            samples = batch_sampler.next_minibatch_ids(trainset, state)
            tasks.append(
                ProposalTask(
                    parent, state.program_candidates[parent], samples, trainset.fetch(samples)
                )
            )
        return tasks


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
        for proposal in sorted(proposals, key=_gain, reverse=True):
            content = tuple(sorted(proposal.candidate.items()))
            if content not in known and acceptance_criterion.should_accept(proposal, state):
                known.add(content)
                better.append(proposal)
        return better[: self.budget.acceptances(state)]


def _gain(proposal: CandidateProposal[Any]) -> float:
    return sum(proposal.subsample_scores_after or []) - sum(proposal.subsample_scores_before or [])


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
