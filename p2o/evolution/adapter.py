"""The gepa adapter: one component, the template; all evaluations of a stage in one engine call."""

from collections.abc import Mapping, Sequence
from typing import Any

from gepa.core.adapter import EvaluationBatch

from p2o_callbacks.protocols import EvaluateTemplates, TemplateTrial

COMPONENT = "template"
"""Name of the one text component that gepa evolves."""


class TemplateAdapter:
    """Lets gepa try templates on hard samples. A sample is its id.

    Args:
        evaluate: Tries (sample id, template text) pairs in one call.
    """

    propose_new_texts = None

    def __init__(self, evaluate: EvaluateTemplates) -> None:
        self._evaluate = evaluate

    def evaluate(
        self, batch: list[str], candidate: dict[str, str], capture_traces: bool = False
    ) -> EvaluationBatch[TemplateTrial, str]:
        """Try one candidate on some samples."""
        return self.batch_evaluate([(candidate, batch)])[0]

    def batch_evaluate(
        self, items: list[tuple[dict[str, str], list[str]]]
    ) -> list[EvaluationBatch[TemplateTrial, str]]:
        """Try each candidate on its samples, all of them in one engine call."""
        trials = self._evaluate(
            [(sample, candidate[COMPONENT]) for candidate, batch in items for sample in batch]
        )
        batches, start = [], 0
        for _, batch in items:
            part = trials[start : start + len(batch)]
            start += len(batch)
            batches.append(
                EvaluationBatch(
                    outputs=[trial.response for trial in part],
                    scores=[trial.score for trial in part],
                    trajectories=part,
                )
            )
        return batches

    def make_reflective_dataset(
        self,
        candidate: dict[str, str],
        eval_batch: EvaluationBatch[TemplateTrial, str],
        components_to_update: list[str],
    ) -> Mapping[str, Sequence[Mapping[str, Any]]]:
        """Input, response, verdict and gold answer of each sample."""
        records = [reflective_record(trial) for trial in eval_batch.trajectories or []]
        return {component: records for component in components_to_update}


def reflective_record(trial: TemplateTrial) -> dict[str, Any]:
    """What a reflection backend is told of one trial, under gepa's names."""
    return {
        "Inputs": trial.question,
        "Generated Outputs": trial.response,
        "Feedback": trial.feedback,
        "score": trial.score,
    }
