"""A search whose trials are the rollouts of training: it spends none of its own."""

import random
from collections.abc import Sequence
from dataclasses import replace

from gepa.gepa_utils import remove_dominated_programs

from p2o.constraints import Count
from p2o.evolution.adapter import reflective_record
from p2o.evolution.guarded import Assignment, GuardedSearch, Report
from p2o.evolution.incumbents import find_incumbents
from p2o.evolution.leaks import Action
from p2o.evolution.strategies import draw_without_replacement
from p2o.hints.assignment import Assigner
from p2o.hints.insertion import read_template
from p2o.hints.problems import Problems
from p2o.hints.shares import by_success
from p2o.reflection.base import Reflection, ReflectionRequest, last_exchanges
from p2o.running.seeds import derive_seed
from p2o_callbacks.candidates import Candidate
from p2o_callbacks.pool import PromptPool, Template
from p2o_callbacks.protocols import EvaluateTemplates, Evolution, EvolutionProgress, TemplateTrial

SEED = ""
"""The empty template."""


class SearchInTraining(GuardedSearch):
    """Proposes templates and has training try them.

    gepa's search (arXiv 2507.19457) with other trials. Parents come from the Pareto front over
    hard samples, children are written in reflection on failures of their parent, and what is better
    somewhere stays; but a child is accepted when a rollout of the next epoch was right with it, and
    goes when none was. All of that is known from rollouts that are trained on anyway, so there are
    no metric calls.

    - A template stays as long as it has solved a hard sample within `evidence` epochs.
    - New ones are proposed while there are hard samples that none of these solves. A parent
      reflects on such samples. The empty template is one for half of them.
    - Half of the rollouts of a sample have templates that have solved it, where there are some.
      The others have those that have not, so that they are tried and the group has contrast. Both
      halves are drawn by success rate, see `p2o.hints.shares.by_success`.

    Args:
        reflection: Writes templates.
        assigner: Has no say: rollouts are dealt out to learn of templates, too.
        proposals: New templates of a search.
        minibatch_size: Samples of a reflection.
        evidence: Epochs for which a rollout counts.
        minimum: Hard samples below which nothing is done.
        leaks: What happens to a template that gives a problem away, see `GuardedSearch`.
    """

    def __init__(
        self,
        reflection: Reflection,
        assigner: Assigner,
        proposals: Count = 16,
        minibatch_size: Count = 3,
        evidence: Count = 2,
        minimum: Count = 1,
        leaks: Action = "reject",
    ) -> None:
        super().__init__("hard", minimum, leaks)
        self.reflection, self.proposals = reflection, proposals
        self.minibatch_size, self.lasts = minibatch_size, evidence

    def bind(self, problems: Problems) -> None:
        """See `KnowsProblems`."""
        super().bind(problems)
        problems.evidence.lasts = max(problems.evidence.lasts, self.lasts)

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
        known = find_incumbents(self.problems.evidence, samples)
        unsolved = [sample for sample in samples if sample not in known.solved]
        best = max((template.score or 0.0 for template in known.templates), default=0.0)
        report(EvolutionProgress(0, 0, best, len(known.templates)))
        candidates = self._propose(known.templates, unsolved, seed)
        new = [each for each in candidates[len(known.templates) :] if each.accepted]
        templates = (*known.templates, *(Template(each.text, score=None) for each in new))
        pool = PromptPool(templates, tuple(range(len(templates))))
        assignment = self.dealt(pool, samples, group_size=group_size, seed=seed)
        return Evolution(
            replace(pool, assignment=assignment),
            iterations=1,
            candidates=tuple(candidates),
            spared=sum(len(each.minibatch) for each in candidates),
            solved_before=len(known.solved),
        )

    def dealt(
        self, pool: PromptPool, samples: Sequence[str], *, group_size: int, seed: int
    ) -> Assignment:
        """See `GuardedSearch.dealt`."""
        return by_success(pool.templates, samples, self.problems.evidence, group_size, seed)

    def _propose(
        self, templates: Sequence[Template], unsolved: Sequence[str], seed: int
    ) -> list[Candidate]:
        """Those that are there, and behind them what came of each reflection."""
        before = [
            Candidate(each.text, dev_scores=each.dev_scores, accepted=True) for each in templates
        ]
        places = {"": (), **{each.text: (place,) for place, each in enumerate(before)}}
        parents = self._parents(templates, seed)
        reflected = [
            (parent, failures)
            for number, parent in enumerate(parents)
            if (
                failures := self._failures(parent, unsolved, derive_seed(seed, "minibatch", number))
            )
        ]
        requests = [
            ReflectionRequest(
                parent,
                [reflective_record(trial) for trial in failures.values()],
                derive_seed(seed, "reflection", number),
            )
            for number, (parent, failures) in enumerate(reflected)
        ]
        texts = self.reflection.reflect(requests) if requests else []
        exchanges = last_exchanges(self.reflection, len(requests))
        found, seen = list(before), set(places)
        for (parent, failures), written, exchange in zip(reflected, texts, exchanges, strict=True):
            text = read_template(written)
            found.append(
                Candidate(
                    text or "",
                    iteration=1,
                    parents=places[parent],
                    minibatch=tuple(failures),
                    score_before=tuple(trial.score for trial in failures.values()),
                    accepted=text is not None and text not in seen,
                    reason=_why_not(text, seen),
                    exchange=exchange,
                )
            )
            seen.add(text or "")
        return found

    def _parents(self, templates: Sequence[Template], seed: int) -> list[str]:
        """The parent of each proposal; at least half have the empty template."""
        best: dict[str, float] = {}
        for template in templates:
            best |= {s: max(score, best.get(s, 0.0)) for s, score in template.dev_scores.items()}
        fronts = remove_dominated_programs(
            {
                sample: {
                    i for i, each in enumerate(templates) if each.dev_scores.get(sample) == score
                }
                for sample, score in best.items()
                if score > 0
            },
            scores=[template.score or 0.0 for template in templates],
        )
        weights: dict[int, int] = {}
        for front in fronts.values():
            for place in sorted(front):
                weights[place] = weights.get(place, 0) + 1
        drawn = draw_without_replacement(
            weights, self.proposals // 2, random.Random(f"{seed}-parents")
        )
        others = [templates[place].text for place in drawn]
        return [SEED] * (self.proposals - len(others)) + others

    def _failures(
        self, parent: str, unsolved: Sequence[str], seed: int
    ) -> dict[str, TemplateTrial]:
        """As many samples as are reflected on that a parent is known to fail, and how it failed."""
        evidence = self.problems.evidence
        known = {sample: evidence.trial(sample, parent) for sample in unsolved}
        failed = {s: trial for s, trial in known.items() if trial is not None and not trial.solved}
        drawn = random.Random(seed).sample(list(failed), min(self.minibatch_size, len(failed)))
        return {sample: failed[sample] for sample in drawn}


def _why_not(text: str | None, seen: set[str]) -> str:
    if text is None:
        return "nothing was written that can be a template"
    return "the search has found it before" if text in seen else ""
