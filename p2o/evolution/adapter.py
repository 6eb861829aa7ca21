"""The gepa adapter: one component, the template; all evaluations of a stage in one engine call."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from gepa.core.adapter import EvaluationBatch

from p2o.evolution.leaks import LeakGuard
from p2o.hints.evidence import Evidence
from p2o_callbacks.protocols import EvaluateTemplates, TemplateTrial

COMPONENT = "template"
"""Name of the one text component that gepa evolves."""


class TemplateAdapter:
    """Lets gepa try templates on hard samples. A sample is its id.

    A trial that would come out the same is made once: its result is kept, and a kept result counts
    as no metric call. From the second engine call on that holds within a batch, too. What solves a
    sample is the verdict's to say, never a score's. A trial without a verdict is no evidence: it is
    neither a score nor a thing to reflect on.

    Args:
        evaluate: Tries (sample id, template text) pairs in one call.
        guard: Is told of the problems that are tried.
        known: Results of samples and templates that somebody else has paid for.

    Attributes:
        spared: Results that were known, so that there was no trial.
    """

    propose_new_texts = None

    def __init__(
        self,
        evaluate: EvaluateTemplates,
        guard: LeakGuard | None = None,
        known: Evidence | None = None,
    ) -> None:
        self._evaluate, self._guard = evaluate, guard or LeakGuard("off")
        self._known = known or Evidence({})
        self.spared = 0
        self._kept: dict[tuple[str, str], TemplateTrial] = {}
        # Whether trials of this search come out the same again.
        self._repeatable = False
        self._judged: defaultdict[str, dict[str, TemplateTrial]] = defaultdict(dict)

    def solved(self, template: str) -> frozenset[str]:
        """Ids of the samples that a template solved when there was a verdict last."""
        return frozenset(s for s, trial in self._judged[template].items() if trial.solved)

    def verdict(self, template: str, sample: str) -> bool | None:
        """Whether a template solves a sample; None where nobody has seen it."""
        trial = self._judged[template].get(sample)
        return self._known.verdict(sample, template) if trial is None else trial.solved

    def scores(self, template: str, samples: Sequence[str]) -> dict[str, float]:
        """Scores of a template on those of some samples on which there was a verdict."""
        judged = self._judged[template]
        return {sample: judged[sample].score for sample in samples if sample in judged}

    def evaluate(
        self, batch: list[str], candidate: dict[str, str], capture_traces: bool = False
    ) -> EvaluationBatch[TemplateTrial, TemplateTrial]:
        """Try one candidate on some samples."""
        return self.batch_evaluate([(candidate, batch)])[0]

    def batch_evaluate(
        self, items: list[tuple[dict[str, str], list[str]]]
    ) -> list[EvaluationBatch[TemplateTrial, TemplateTrial]]:
        """Try each candidate on its samples, all that is not known of them in one engine call."""
        pairs = [[(s, candidate[COMPONENT]) for s in batch] for candidate, batch in items]
        for pair in {pair for part in pairs for pair in part} - self._kept.keys():
            result = self._known.trial(*pair)
            if result is not None:
                self._kept[pair] = result
                self.spared += 1
        fresh = iter(self._try([p for part in pairs for p in part if p not in self._kept]))
        results = [
            [(self._kept[pair], 0) if pair in self._kept else next(fresh) for pair in part]
            for part in pairs
        ]
        for part, tried in zip(pairs, results, strict=True):
            for (sample, template), (trial, _) in zip(part, tried, strict=True):
                self._guard.learn(sample, trial)
                if trial.solved is not None:
                    self._judged[template][sample] = trial
                if trial.repeatable:
                    self._kept[sample, template] = trial
        return [_batch(tried) for tried in results]

    def _try(self, asked: Sequence[tuple[str, str]]) -> list[tuple[TemplateTrial, int]]:
        """A trial for each pair, and the metric calls that it took: none for a pair's second."""
        # Until there was a trial, nobody knows whether another one would come out the same.
        if not self._repeatable:
            return [(trial, 1) for trial in self._ask(asked)]
        once = list(dict.fromkeys(asked))
        trials = dict(zip(once, self._ask(once), strict=True))
        unpaid = set(once)
        results = []
        for pair in asked:
            results.append((trials[pair], int(pair in unpaid)))
            unpaid.discard(pair)
        return results

    def _ask(self, pairs: Sequence[tuple[str, str]]) -> list[TemplateTrial]:
        """Try pairs in one engine call, and note whether trials are repeatable."""
        trials = self._evaluate(pairs) if pairs else []
        # One whose verifier has failed is not, though others of the search are.
        self._repeatable |= any(trial.repeatable for trial in trials)
        return trials

    def make_reflective_dataset(
        self,
        candidate: dict[str, str],
        eval_batch: EvaluationBatch[TemplateTrial, TemplateTrial],
        components_to_update: list[str],
    ) -> Mapping[str, Sequence[Mapping[str, Any]]]:
        """Input, response, verdict and gold answer of each sample with a verdict."""
        trials = eval_batch.trajectories or []
        records = [reflective_record(trial) for trial in trials if trial.solved is not None]
        return {component: records for component in components_to_update}


def _batch(
    tried: list[tuple[TemplateTrial, int]],
) -> EvaluationBatch[TemplateTrial, TemplateTrial]:
    trials = [trial for trial, _ in tried]
    return EvaluationBatch(
        # What gepa hands on with a proposal, for `judged_gain`.
        outputs=trials,
        scores=[trial.score for trial in trials],
        # There is nothing to learn where nothing is known to fail; gepa skips what has no traces.
        trajectories=trials if any(trial.solved is False for trial in trials) else [],
        num_metric_calls=sum(calls for _, calls in tried),
    )


def judged_gain(before: Sequence[TemplateTrial], after: Sequence[TemplateTrial]) -> float:
    """What a child scores more than its parent on the samples on which both have a verdict.

    Args:
        before: The parent's trials.
        after: The child's, on the same samples.
    """
    judged = [
        (parent, child)
        for parent, child in zip(before, after, strict=True)
        if parent.solved is not None and child.solved is not None
    ]
    return sum(child.score for _, child in judged) - sum(parent.score for parent, _ in judged)


def reflective_record(trial: TemplateTrial) -> dict[str, Any]:
    """What a reflection backend is told of one trial, under gepa's names."""
    return {
        "Inputs": trial.question,
        "Generated Outputs": trial.response,
        "Feedback": trial.feedback,
        "score": trial.score,
        "solved": trial.solved,
    }
