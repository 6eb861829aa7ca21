"""A search whose trials are the rollouts of training: it spends none of its own."""

import random
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from p2o.constraints import Count
from p2o.evolution.adapter import reflective_record
from p2o.evolution.leaks import Action, LeakGuard
from p2o.evolution.strategies import draw_from_fronts
from p2o.hints.evidence import Evidence, Shown
from p2o.hints.insertion import read_template
from p2o.hints.problems import Problems
from p2o.hints.success import by_success, success_rate
from p2o.reflection.base import Reflection, ReflectionRequest, last_exchanges
from p2o.running.seeds import derive_seed
from p2o_callbacks.candidates import Candidate, Exchange
from p2o_callbacks.hint import names_text
from p2o_callbacks.pool import PromptPool, Template
from p2o_callbacks.protocols import EvaluateTemplates, Evolution, EvolutionProgress, TemplateTrial

SEED = ""
"""The empty template."""
IN_VAIN = 12
"""Rollouts without a success after which a template is not proposed again."""
WAITING = "proposed in training: "
"""What a search remembers of a template that no rollout has tried yet begins with this."""


@dataclass(frozen=True)
class Failures:
    """What a proposal is made of.

    Attributes:
        parent: The template to improve.
        trials: By sample id, how it failed.
    """

    parent: str
    trials: Mapping[str, TemplateTrial]


class SearchInTraining:
    """Proposes templates and has training try them.

    This is gepa's search (arXiv 2507.19457) with other trials. Parents come from the Pareto front
    over hard samples, and children are written in reflection on failures of their parent. A child
    is tried in the rollouts that follow, which are trained on anyway. It stays in the pool when one
    of them is right. So there are no metric calls.

    - A template stays until it has solved no problem for `evidence` epochs. One that was tried and
      solved nothing stands in the pool out of use.
    - A template that has not been rolled out yet stays, too.
    - While there are hard samples that no template has solved, new ones are proposed, until
      `proposals` have not been rolled out yet. Parents reflect on such samples. At least half of
      the parents are the empty template.
    - Half of the rollouts of a sample have templates that have solved it, where there are some. The
      others have those that have not, so that they are tried and the group has contrast. See
      `p2o.hints.success.by_success`.

    Args:
        reflection: Writes templates.
        proposals: Templates that wait to be tried, at the most.
        minibatch_size: Samples of a reflection.
        evidence: Epochs for which a rollout counts, the one at hand being the first.
        minimum: Hard samples below which nothing is done.
        leaks: What happens to a template that gives a problem away, see `p2o.evolution.leaks`.
    """

    def __init__(
        self,
        reflection: Reflection,
        proposals: Count = 16,
        minibatch_size: Count = 3,
        evidence: Count = 2,
        minimum: Count = 1,
        leaks: Action = "reject",
    ) -> None:
        self.reflection, self.proposals = reflection, proposals
        self.minibatch_size, self.lasts = minibatch_size, evidence
        self.minimum = minimum
        self.leaks: Action = leaks
        self.problems = Problems([])

    def bind(self, problems: Problems) -> None:
        """See `KnowsProblems`."""
        self.problems = problems
        problems.evidence.lasts = max(problems.evidence.lasts, self.lasts)

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
        guard = LeakGuard(self.leaks)
        guard.learn_shown(samples, self.problems.evidence)
        tried = self._tried()
        known = self._known(tried, guard.passes)
        solved = frozenset().union(*(template.solved for template in known))
        unsolved = [sample for sample in samples if sample not in solved]
        report(EvolutionProgress(0, 0, max((t.score or 0 for t in known), default=0), len(known)))
        proposed = self._propose(known, samples, unsolved, guard.admits, seed)
        new = [
            # In the pool there is no empty template, which is the first of the candidates.
            Template(each.text, score=None, parents=tuple(p - 1 for p in each.parents if p))
            for each in proposed
            if each.accepted
        ]
        in_use = (*known, *new)
        self._remember([each.text for each in in_use if not each.dev_scores])
        pool = PromptPool(
            (*in_use, *_in_vain(tried, {each.text for each in in_use})),
            tuple(range(len(in_use))),
            by_success(in_use, samples, self.problems.evidence, group_size, seed),
        )
        before = [Candidate(t.text, dev_scores=t.dev_scores, accepted=True) for t in known]
        return Evolution(
            pool,
            iterations=1,
            candidates=(Candidate(SEED), *before, *proposed),
            leaks=guard.count,
            spared=sum(len(each.minibatch) for each in proposed),
            solved_before=len(samples) - len(unsolved),
        )

    def deal(
        self, pool: PromptPool, hard_set: Sequence[str], *, group_size: int, seed: int
    ) -> Mapping[str, tuple[int | None, ...]]:
        """See `p2o_callbacks.Evolver`."""
        samples = self.problems.samples("hard", hard_set)
        # They stand before the others, so that places in both are the same.
        in_use = pool.templates[: len(pool.cover)]
        return by_success(in_use, samples, self.problems.evidence, group_size, seed)

    def _known(
        self, tried: Mapping[str, Template], passes: Callable[[str], bool]
    ) -> list[Template]:
        """Templates that have solved something, and behind them those that wait to be tried."""
        names = [name.removeprefix(WAITING) for name in self.problems.memory if _waits(name)]
        waiting = [Template(text, score=None) for text in names if text not in tried]
        known = [*(each for each in tried.values() if each.solved), *waiting]
        return [each for each in known if passes(each.text)]

    def _tried(self) -> dict[str, Template]:
        """Each template that training has shown, and how it fared there, by its text."""
        return {
            text: _rolled_out(text, shown, self.problems.prompts)
            for text, shown in sorted(self.problems.evidence.by_hint().items())
            if text and names_text(text)
        }

    def _remember(self, waiting: Sequence[str]) -> None:
        memory = self.problems.memory
        for name in [name for name in memory if _waits(name)]:
            del memory[name]
        memory.update({WAITING + text: 1.0 for text in waiting})

    def _propose(
        self,
        known: Sequence[Template],
        samples: Sequence[str],
        unsolved: Sequence[str],
        admits: Callable[[str], bool],
        seed: int,
    ) -> list[Candidate]:
        """What came of each reflection."""
        number = self.proposals - sum(not template.dev_scores for template in known)
        reflected = self._reflected(_parents(known, samples, number, seed), unsolved, seed)
        requests = [
            ReflectionRequest(
                each.parent,
                [reflective_record(trial) for trial in each.trials.values()],
                derive_seed(seed, "reflection", place),
            )
            for place, each in enumerate(reflected)
        ]
        texts = self.reflection.reflect(requests) if requests else []
        exchanges = last_exchanges(self.reflection, len(requests))
        places = {text: place for place, text in enumerate([SEED, *(t.text for t in known)])}
        taken, tallies = set(places), self.problems.evidence.tallies()
        proposed = []
        for failures, written, exchange in zip(reflected, texts, exchanges, strict=True):
            text = read_template(written)
            reason = _why_not(text, taken, tallies, admits)
            if not reason:
                taken.add(str(text))
            parent = places[failures.parent]
            proposed.append(_candidate(text, reason, parent, failures, exchange))
        return proposed

    def _reflected(
        self, parents: Sequence[str], unsolved: Sequence[str], seed: int
    ) -> list[Failures]:
        """A minibatch of known failures for each parent that has some."""
        found = []
        for place, parent in enumerate(parents):
            failed = _failures(self.problems.evidence, parent, unsolved)
            generator = random.Random(derive_seed(seed, "minibatch", place))
            drawn = generator.sample(list(failed), min(self.minibatch_size, len(failed)))
            if drawn:
                found.append(Failures(parent, {sample: failed[sample] for sample in drawn}))
        return found


def _rolled_out(text: str, shown: Mapping[str, Shown], problems: Collection[str]) -> Template:
    """A template with what its rollouts came to."""
    tally = sum(each.solved for each in shown.values()), sum(e.rollouts for e in shown.values())
    return Template(
        text,
        score=success_rate(tally),
        dev_scores={name: each.score for name, each in shown.items() if name in problems},
        solved=frozenset(name for name, each in shown.items() if each.solved),
    )


def _in_vain(tried: Mapping[str, Template], in_use: Collection[str]) -> list[Template]:
    """Templates that have solved nothing, apart from those in use: no success is expected."""
    vain = (each for each in tried.values() if not each.solved and each.text not in in_use)
    return [replace(each, score=fmean(each.dev_scores.values() or [0.0])) for each in vain]


def _waits(name: str) -> bool:
    return name.startswith(WAITING)


def _failures(evidence: Evidence, parent: str, samples: Sequence[str]) -> dict[str, TemplateTrial]:
    """How a parent failed, by sample.

    What the bare prompt did is forgotten of a sample that has had templates for long. Any failure
    of it will do then.
    """
    trials = {sample: evidence.trial(sample, parent) for sample in samples}
    if parent == SEED:
        trials = {sample: trial or evidence.example(sample) for sample, trial in trials.items()}
    return {s: trial for s, trial in trials.items() if trial is not None and not trial.solved}


def _parents(
    templates: Sequence[Template], samples: Sequence[str], number: int, seed: int
) -> list[str]:
    """The parent of each of `number` proposals; at least half are the empty template."""
    fronts = {}
    for sample in samples:
        own = {i: t.dev_scores[sample] for i, t in enumerate(templates) if sample in t.solved}
        if own:
            fronts[sample] = {i for i, score in own.items() if score == max(own.values())}
    scores = [each.score or 0.0 for each in templates]
    generator = random.Random(f"{seed}-parents")
    drawn = draw_from_fronts(fronts, scores, max(0, number // 2), generator)
    return [SEED] * (number - len(drawn)) + [templates[place].text for place in drawn]


def _why_not(
    text: str | None,
    taken: set[str],
    tallies: Mapping[str, tuple[int, int]],
    admits: Callable[[str], bool],
) -> str:
    """Why a text does not come into the pool; empty where it does."""
    if text is None:
        return "nothing was written that can be a template"
    if text in taken:
        return "it is there already"
    right, rollouts = tallies.get(text, (0, 0))
    if rollouts >= IN_VAIN and not right:
        return f"{IN_VAIN} rollouts or more with it were all wrong"
    return "" if admits(text) else "it gives a problem away"


def _candidate(
    text: str | None,
    reason: str,
    parent: int,
    failures: Failures,
    exchange: Exchange | None,
) -> Candidate:
    return Candidate(
        text or "",
        iteration=1,
        parents=(parent,),
        minibatch=tuple(failures.trials),
        score_before=tuple(trial.score for trial in failures.trials.values()),
        accepted=not reason,
        reason=reason,
        exchange=exchange,
    )
