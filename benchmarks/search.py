"""An evolver that searches as p2o does, in both ways, and with gepa's own loop."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from time import perf_counter
from typing import Any, cast

from gepa.api import optimize
from gepa.core.adapter import EvaluationBatch, GEPAAdapter

from benchmarks.clock import CLOCK
from p2o.evolution.split import split_hard_set
from p2o.reflection import Reflection, ReflectionRequest
from p2o_callbacks.pool import PromptPool
from p2o_callbacks.protocols import EvaluateTemplates, Evolution, Evolver, TemplateTrial

TEMPLATE = "template"


class AllSearches:
    """Runs p2o's searches and gepa's own on the same hard set; what p2o's first found is used.

    All have the same policy, reflection backend, dev samples and number of metric calls.

    Args:
        reflection: Writes templates.
        assigner: For p2o's search.
        evolver: Makes p2o's search, with its width filled or not.
        budget: Metric calls of each.
        dev_size: Samples of a full evaluation.
    """

    def __init__(
        self,
        reflection: Reflection,
        assigner: Any,
        evolver: Callable[..., Evolver],
        budget: int,
        dev_size: int,
    ) -> None:
        self.reflection, self.budget, self.dev_size = reflection, budget, dev_size
        made = partial(evolver, reflection=reflection, assigner=assigner)
        self.evolver, self.filled = made(fill_width=False), made(fill_width=True)

    def evolve(
        self,
        hard_set: Sequence[str],
        evaluate: EvaluateTemplates,
        *,
        group_size: int,
        seed: int,
        report: Callable[..., None],
    ) -> Evolution:
        """See `p2o_callbacks.Evolver`."""
        searches, pools = {}, []
        for name, evolver in (("p2o", self.evolver), ("filled", self.filled)):
            start, before = perf_counter(), len(CLOCK.calls)
            found = evolver.evolve(
                hard_set, evaluate, group_size=group_size, seed=seed, report=report
            )
            scores = [template.score or 0.0 for template in found.pool.templates]
            best = max(scores, default=0.0)
            searches[name] = _measured(start, before, found.metric_calls, best)
            pools.append(found)
        train, dev = split_hard_set(hard_set, self.dev_size, seed)
        start, before = perf_counter(), len(CLOCK.calls)
        alone = optimize(
            seed_candidate={TEMPLATE: ""},
            trainset=train,
            valset=dev,
            adapter=cast(GEPAAdapter[Any, Any, Any], OneByOne(evaluate, self.reflection)),
            max_metric_calls=self.budget,
            logger=_Quiet(),
            seed=seed,
        )
        searches["gepa"] = _measured(
            start, before, alone.total_metric_calls or 0, max(alone.val_aggregate_scores)
        )
        CLOCK.facts |= {"searches": searches, "hard": len(hard_set), "dev": len(dev)}
        return pools[0]

    def deal(
        self, pool: PromptPool, hard_set: Sequence[str], *, group_size: int, seed: int
    ) -> Mapping[str, tuple[int | None, ...]]:
        """See `p2o_callbacks.Evolver`."""
        return self.evolver.deal(pool, hard_set, group_size=group_size, seed=seed)


class OneByOne:
    """A plain adapter for gepa: one candidate and one batch are one engine call.

    Args:
        evaluate: Tries (sample id, template) pairs in one engine call.
        reflection: Writes templates.
    """

    def __init__(self, evaluate: EvaluateTemplates, reflection: Reflection) -> None:
        self._evaluate, self._reflection, self._asked = evaluate, reflection, 0

    def evaluate(
        self, batch: list[str], candidate: dict[str, str], capture_traces: bool = False
    ) -> EvaluationBatch[TemplateTrial, str]:
        """Try one candidate on some samples."""
        trials = self._evaluate([(sample, candidate[TEMPLATE]) for sample in batch])
        return EvaluationBatch(
            outputs=[trial.response for trial in trials],
            scores=[trial.score for trial in trials],
            trajectories=trials if capture_traces else None,
        )

    def make_reflective_dataset(
        self,
        candidate: dict[str, str],
        eval_batch: EvaluationBatch[TemplateTrial, str],
        components_to_update: list[str],
    ) -> Mapping[str, Sequence[Mapping[str, Any]]]:
        """What a reflection backend is told of each trial."""
        records = [
            {
                "Inputs": trial.question,
                "Generated Outputs": trial.response,
                "Feedback": trial.feedback,
                "score": trial.score,
                "solved": trial.solved,
            }
            for trial in eval_batch.trajectories or []
        ]
        return {TEMPLATE: records}

    def propose_new_texts(
        self,
        candidate: dict[str, str],
        reflective_dataset: Mapping[str, Sequence[Mapping[str, Any]]],
        components_to_update: list[str],
    ) -> dict[str, str]:
        """One proposal; the parent again where the backend failed."""
        self._asked += 1
        request = ReflectionRequest(
            candidate[TEMPLATE], reflective_dataset[TEMPLATE], seed=self._asked
        )
        return {TEMPLATE: self._reflection.reflect([request])[0] or candidate[TEMPLATE]}


class _Quiet:
    def log(self, message: str) -> None:
        """Say nothing."""


def _measured(start: float, before: int, metric_calls: int, best: float) -> dict[str, float]:
    calls = CLOCK.calls[before:]
    return {
        "seconds": perf_counter() - start,
        "engine_calls": len(calls),
        "prompts": sum(len(call.prompts) for call in calls),
        "metric_calls": metric_calls,
        "best_score": best,
    }
