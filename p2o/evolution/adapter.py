"""The gepa adapter: one component, the template; all evaluations of a stage in one engine call."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gepa.core.adapter import EvaluationBatch

from p2o.evolution.leaks import LeakGuard
from p2o_callbacks.protocols import EvaluateTemplates, TemplateTrial

COMPONENT = "template"
"""Name of the one text component that gepa evolves."""

Known = Callable[[str, str], TemplateTrial | None]
"""Of a sample id and a template text."""


class TemplateAdapter:
    """Lets gepa try templates on hard samples. A sample is its id.

    A trial that would come out the same is made once: its result is kept, and a kept result counts
    as no metric call. What solves a sample is the verdict's to say, never a score's. A trial
    without a verdict is no evidence: it is neither a score nor a thing to reflect on.

    Args:
        evaluate: Tries (sample id, template text) pairs in one call.
        guard: Is told of the problems that are tried.
        known: A result of a sample and a template that somebody else has paid for, if there is one.

    Attributes:
        spared: Results that were known, so that there was no trial.
    """

    propose_new_texts = None

    def __init__(
        self,
        evaluate: EvaluateTemplates,
        guard: LeakGuard | None = None,
        known: Known = lambda sample, template: None,
    ) -> None:
        self._evaluate, self._guard, self._known = evaluate, guard or LeakGuard("off"), known
        self.spared = 0
        self._kept: dict[tuple[str, str], TemplateTrial] = {}
        self._judged: defaultdict[str, dict[str, TemplateTrial]] = defaultdict(dict)

    def solved(self, template: str) -> frozenset[str]:
        """Ids of the samples that a template solved when there was a verdict last."""
        return frozenset(s for s, trial in self._judged[template].items() if trial.solved)

    def verdict(self, template: str, sample: str) -> bool | None:
        """Whether a template solves a sample; None where nobody has seen it."""
        trial = self._judged[template].get(sample) or self._known(sample, template)
        return None if trial is None else trial.solved

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
            result = self._known(*pair)
            if result is not None:
                self._kept[pair] = result
                self.spared += 1
        asked = [[pair for pair in part if pair not in self._kept] for part in pairs]
        together = [pair for part in asked for pair in part]
        fresh = iter(self._evaluate(together) if together else [])
        trials = [[self._kept.get(pair) or next(fresh) for pair in part] for part in pairs]
        for part, tried in zip(pairs, trials, strict=True):
            for (sample, template), trial in zip(part, tried, strict=True):
                self._guard.learn(sample, trial)
                if trial.solved is not None:
                    self._judged[template][sample] = trial
                if trial.repeatable:
                    self._kept[sample, template] = trial
        return [_batch(tried, len(part)) for tried, part in zip(trials, asked, strict=True)]

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
    trials: list[TemplateTrial], asked: int
) -> EvaluationBatch[TemplateTrial, TemplateTrial]:
    return EvaluationBatch(
        # What gepa hands on with a proposal, for `judged_gain`.
        outputs=trials,
        scores=[trial.score for trial in trials],
        # There is nothing to learn where nothing is known to fail; gepa skips what has no traces.
        trajectories=trials if any(trial.solved is False for trial in trials) else [],
        num_metric_calls=asked,
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
