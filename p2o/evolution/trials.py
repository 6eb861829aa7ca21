"""How candidates fare on samples, all in one engine call."""

from collections.abc import Mapping, Sequence

from p2o_callbacks.hint import Hint
from p2o_callbacks.pool import Template
from p2o_callbacks.protocols import EvaluateTemplates, TemplateTrial

Trials = Mapping[str, TemplateTrial]
"""By sample id."""


def try_all(
    hints: Sequence[Hint], samples: Sequence[str], evaluate: EvaluateTemplates
) -> list[Template]:
    """Try each hint on every sample, one metric call for each pair.

    Args:
        hints: Candidates.
        samples: Sample ids.
        evaluate: Tries them.

    Returns:
        Each hint as a template, with its scores.
    """
    pairs = [(sample, hint.candidate) for hint in hints for sample in samples]
    trials = iter(evaluate(pairs) if pairs else [])
    return [tried(hint, {sample: next(trials) for sample in samples}) for hint in hints]


def tried(hint: Hint, trials: Trials) -> Template:
    """A hint as a template that was tried on some samples; without any it has no score.

    Args:
        hint: The candidate.
        trials: How it fared, by sample id.
    """
    scores = {sample: trial.score for sample, trial in trials.items()}
    return Template(
        hint.text,
        score=sum(scores.values()) / len(scores) if scores else None,
        dev_scores=scores,
        solved=frozenset(sample for sample, trial in trials.items() if trial.solved),
        turns=hint.turns,
        prefix=hint.prefix,
        columns=hint.columns,
    )
