"""One reflection for each hard sample and no search: an ablation of P²O's paper."""

from collections.abc import Callable, Mapping, Sequence

from p2o.constraints import Count
from p2o.evolution.adapter import reflective_record
from p2o.evolution.leaks import Action, LeakGuard
from p2o.hints.assignment import keep_or_draw
from p2o.hints.insertion import read_template
from p2o.hints.problems import Problems
from p2o.reflection.base import Reflection, ReflectionRequest, last_exchanges
from p2o.running.seeds import derive_seed
from p2o_callbacks.candidates import Candidate
from p2o_callbacks.pool import PromptPool, Template
from p2o_callbacks.protocols import (
    EvaluateTemplates,
    Evolution,
    EvolutionProgress,
    TemplateTrial,
)


class SingleTurnReflection:
    """Each hard sample gets a template of its own, written from one bare attempt at it.

    Templates are neither tried nor compared: they have no dev scores, and a sample's rollouts all
    use the same one. A sample whose reflection failed, or whose attempt got no verdict, stays bare.
    One that is hard later, before the next search, and has no template of its own draws that of
    another.

    Args:
        reflection: Writes templates.
        minimum: Hard samples below which nothing is done.
        leaks: What happens to a template that gives a problem away, see `p2o.evolution.leaks`. The
            sample of one that is rejected stays bare.
    """

    def __init__(
        self,
        reflection: Reflection,
        minimum: Count = 1,
        leaks: Action = "reject",
    ) -> None:
        self.reflection, self.minimum = reflection, minimum
        self.leaks: Action = leaks
        self.problems = Problems([])

    def bind(self, problems: Problems) -> None:
        """See `KnowsProblems`."""
        self.problems = problems

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
        samples = self.problems.samples("hard", hard_set)
        if len(samples) < max(1, self.minimum):
            return Evolution(PromptPool())
        trials = dict(zip(samples, evaluate([(s, "") for s in samples]), strict=True))
        guard = LeakGuard(self.leaks)
        for sample, trial in trials.items():
            guard.learn(sample, trial)
        judged = {sample: trial for sample, trial in trials.items() if trial.solved is not None}
        bare = sum(trial.score for trial in judged.values()) / max(1, len(judged))
        report(EvolutionProgress(len(trials), len(trials), bare, 1))
        written = self._write(judged, seed)
        used = {
            sample: text
            for sample, text in written.items()
            if text is not None and guard.admits(text)
        }
        pool = _pool(used, group_size)
        report(EvolutionProgress(len(trials), len(trials), bare, 1 + len(pool.templates)))
        exchanges = last_exchanges(self.reflection, len(judged))
        asked = [
            Candidate(
                used.get(sample, ""),
                iteration=1,
                minibatch=(sample,),
                score_before=(judged[sample].score,),
                accepted=sample in used,
                reason="" if sample in used else _why_not(text),
                exchange=exchange,
            )
            for (sample, text), exchange in zip(written.items(), exchanges, strict=True)
        ]
        return Evolution(pool, len(trials), 1, tuple(asked), guard.count)

    def _write(self, judged: Mapping[str, TemplateTrial], seed: int) -> dict[str, str | None]:
        """A template of each sample's own; None where nothing came that can be one."""
        requests = [
            ReflectionRequest("", [reflective_record(trial)], derive_seed(seed, sample))
            for sample, trial in judged.items()
        ]
        texts = self.reflection.reflect(requests)
        return dict(zip(judged, map(read_template, texts), strict=True))

    def deal(
        self, pool: PromptPool, hard_set: Sequence[str], *, group_size: int, seed: int
    ) -> Mapping[str, tuple[int | None, ...]]:
        """See `p2o_callbacks.Evolver`."""
        samples = self.problems.samples("hard", hard_set)
        return keep_or_draw(pool, samples, group_size, seed)


def _pool(used: Mapping[str, str], group_size: int) -> PromptPool:
    """Each sample with its own template, for all of its rollouts."""
    places: dict[str, int] = {}
    for text in used.values():
        places.setdefault(text, len(places))
    return PromptPool(
        templates=tuple(Template(text, score=None) for text in places),
        cover=tuple(range(len(places))),
        assignment={sample: (places[text],) * group_size for sample, text in used.items()},
    )


def _why_not(text: str | None) -> str:
    if text is None:
        return "nothing was written that can be a template"
    return "it gives a problem away"
