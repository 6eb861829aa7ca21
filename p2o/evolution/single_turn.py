"""One reflection for each hard sample and no search: an ablation of P²O's paper."""

import random
from collections.abc import Callable, Mapping, Sequence

from p2o.constraints import Count
from p2o.evolution.adapter import reflective_record
from p2o.hints.assignment import Assigner
from p2o.hints.insertion import read_template
from p2o.reflection.base import Reflection, ReflectionRequest
from p2o.running.seeds import derive_seed
from p2o_callbacks.pool import PromptPool, Template
from p2o_callbacks.protocols import EvaluateTemplates, Evolution, EvolutionProgress


class SingleTurnReflection:
    """Each hard sample gets a template of its own, written from one bare attempt at it.

    Templates are neither tried nor compared: they have no dev scores, and a sample's rollouts all
    use the same one. A sample whose reflection failed, or whose attempt got no verdict, stays bare.
    One that is hard later, before the next search, and has no template of its own draws that of
    another.

    Args:
        reflection: Writes templates.
        assigner: Has no say: whose template it is is given.
        minimum: Hard samples below which nothing is done.
    """

    def __init__(self, reflection: Reflection, assigner: Assigner, minimum: Count = 1) -> None:
        self.reflection, self.minimum = reflection, minimum

    def evolve(
        self,
        hard_set: Sequence[str],
        evaluate: EvaluateTemplates,
        *,
        group_size: int,
        seed: int,
        report: Callable[[EvolutionProgress], None],
    ) -> Evolution:
        """See `p2o_callbacks.Evolver`."""
        samples = sorted(set(hard_set))
        if len(samples) < max(1, self.minimum):
            return Evolution(PromptPool())
        trials = evaluate([(sample, "") for sample in samples])
        judged = {
            sample: trial
            for sample, trial in zip(samples, trials, strict=True)
            if trial.solved is not None
        }
        bare = sum(trial.score for trial in judged.values()) / max(1, len(judged))
        report(EvolutionProgress(len(trials), len(trials), bare, 1))
        texts = self.reflection.reflect(
            [
                ReflectionRequest("", [reflective_record(trial)], derive_seed(seed, sample))
                for sample, trial in judged.items()
            ]
        )
        written = {
            sample: text
            for sample, text in zip(judged, map(read_template, texts), strict=True)
            if text is not None
        }
        different = list(dict.fromkeys(written.values()))
        pool = PromptPool(
            templates=tuple(Template(text, score=None) for text in different),
            cover=tuple(range(len(different))),
            assignment={
                sample: (different.index(text),) * group_size for sample, text in written.items()
            },
        )
        report(EvolutionProgress(len(trials), len(trials), bare, 1 + len(different)))
        return Evolution(pool, len(trials), iterations=1)

    def deal(
        self, pool: PromptPool, hard_set: Sequence[str], *, group_size: int, seed: int
    ) -> Mapping[str, tuple[int | None, ...]]:
        """See `p2o_callbacks.Evolver`."""
        return {
            sample: pool.assignment.get(sample)
            or (random.Random(f"{seed}-{sample}").choice(pool.cover),) * group_size
            for sample in hard_set
        }
