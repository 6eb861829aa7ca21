"""How candidates fare on samples, all in one engine call."""

from collections.abc import Mapping, Sequence

from p2o_callbacks.candidates import Candidate
from p2o_callbacks.hint import Hint
from p2o_callbacks.pool import PromptPool, Template
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
    pairs = [(sample, hint.simplest) for hint in hints for sample in samples]
    trials = iter(evaluate(pairs) if pairs else [])
    return [tried(hint, {sample: next(trials) for sample in samples}) for hint in hints]


def as_candidates(templates: Sequence[Template], pool: PromptPool) -> tuple[Candidate, ...]:
    """What was tried, for those who watch; in use is what stands in the pool's cover."""
    return tuple(
        Candidate(
            template.label,
            iteration=1,
            dev_scores=template.dev_scores,
            accepted=index in pool.cover,
            reason="" if index in pool.cover else "not in the cover",
        )
        for index, template in enumerate(templates)
    )


def tried(hint: Hint, trials: Trials) -> Template:
    """A hint as a template that was tried on some samples; without any it has no score.

    Args:
        hint: The candidate.
        trials: How it fared, by sample id; one without a verdict is no evidence, and no score.
    """
    scores = {sample: trial.score for sample, trial in trials.items() if trial.solved is not None}
    return Template(
        hint.text,
        score=sum(scores.values()) / len(scores) if scores else None,
        dev_scores=scores,
        solved=frozenset(sample for sample, trial in trials.items() if trial.solved),
        turns=hint.turns,
        prefix=hint.prefix,
        columns=hint.columns,
        learned=hint.learned,
    )
