"""The least help that works: of its hints in order, a problem takes the first that solves it."""

from abc import abstractmethod
from collections import defaultdict
from collections.abc import Mapping, Sequence

from p2o.evolution.guarded import Assignment, GuardedSearch, Report
from p2o.evolution.trials import as_candidates, tried
from p2o_callbacks.hint import Hint, HintOrText, as_hint
from p2o_callbacks.pool import PromptPool
from p2o_callbacks.protocols import (
    EvaluateTemplates,
    Evolution,
    EvolutionProgress,
    TemplateTrial,
)

Ladders = Mapping[str, Sequence[Hint]]
"""By sample id, its hints, the least help first; a sample without any stays bare."""


class Ladder(GuardedSearch):
    """A search by problem; a subclass says which hints there are.

    Args are those of `GuardedSearch`.
    """

    @abstractmethod
    def ladders(self, samples: Sequence[str], seed: int) -> Ladders:
        """The hints of each sample.

        Args:
            samples: Sample ids.
            seed: Of whatever is drawn.
        """
        ...

    def search(
        self,
        samples: Sequence[str],
        evaluate: EvaluateTemplates,
        *,
        group_size: int,
        seed: int,
        report: Report,
    ) -> Evolution:
        """See `GuardedSearch.search`."""
        return climb(self.ladders(samples, seed), evaluate, group_size, report)

    def dealt(
        self, pool: PromptPool, samples: Sequence[str], *, group_size: int, seed: int
    ) -> Assignment:
        """A sample keeps the hint that was found for it; others are bare until the next search."""
        return {
            sample: (pool.assignment[sample][0],) * group_size
            for sample in samples
            if sample in pool.assignment
        }


def climb(
    ladders: Ladders, evaluate: EvaluateTemplates, group_size: int, report: Report
) -> Evolution:
    """Try the hints of each sample in order, until one solves it.

    All that are at the same rung share an engine call. A sample that none solves has its last one,
    for another draw may; so has one of whose trial there is no verdict, which is no failure.

    Args:
        ladders: The hints of each sample.
        evaluate: Tries them.
        group_size: Rollouts of a sample to give its hint to.
        report: Told after each rung.
    """
    most = sum(map(len, ladders.values()))
    taken: dict[str, HintOrText] = {}
    trials: defaultdict[HintOrText, dict[str, TemplateTrial]] = defaultdict(dict)
    calls, iterations, solved = 0, 0, 0
    open_ = [sample for sample, hints in ladders.items() if hints]
    while open_:
        pairs = [(sample, ladders[sample][iterations].simplest) for sample in open_]
        iterations, calls = iterations + 1, calls + len(pairs)
        higher = []
        for (sample, candidate), trial in zip(pairs, evaluate(pairs), strict=True):
            trials[candidate][sample] = trial
            taken[sample] = candidate
            solved += bool(trial.solved)
            if trial.solved is False and iterations < len(ladders[sample]):
                higher.append(sample)
        open_ = higher
        report(EvolutionProgress(calls, most, solved / len(taken), len(trials)))
    places = {candidate: index for index, candidate in enumerate(trials)}
    pool = PromptPool(
        tuple(tried(as_hint(candidate), of) for candidate, of in trials.items()),
        tuple(sorted({places[candidate] for candidate in taken.values()})),
        {sample: (places[candidate],) * group_size for sample, candidate in taken.items()},
    )
    return Evolution(pool, calls, iterations, as_candidates(pool.templates, pool))
