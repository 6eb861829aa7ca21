"""Template search with the gepa package (arXiv 2507.19457) on a hard set, P²O's Algorithm 3."""

import logging
import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from gepa.api import optimize
from gepa.core.adapter import GEPAAdapter
from gepa.core.callbacks import GEPACallback
from gepa.core.result import GEPAResult

from p2o.constraints import Positive, Whole
from p2o.errors import UserError
from p2o.evolution.adapter import COMPONENT, TemplateAdapter
from p2o.evolution.budget import resolve_budget
from p2o.evolution.failures import FailuresFirst
from p2o.evolution.incumbents import find_incumbents, known_template, with_incumbents
from p2o.evolution.leaks import Action, LeakGuard
from p2o.evolution.minibatches import Minibatches
from p2o.evolution.reflector import Reflector
from p2o.evolution.split import dev_part, split_hard_set
from p2o.evolution.stopping import Budget, EverythingSolved, Standstill
from p2o.evolution.strategies import (
    AffordableImprovements,
    JudgedBeam,
    JudgedImprovement,
    ParetoBeam,
)
from p2o.evolution.trace import SearchTrace
from p2o.evolution.watching import Quiet, Watch, mean
from p2o.hints.assignment import Assigner
from p2o.hints.evidence import Evidence
from p2o.hints.pool_file import seed_texts
from p2o.hints.problems import Problems, Where
from p2o.reflection.base import Reflection
from p2o_callbacks.pool import PromptPool, Template
from p2o_callbacks.protocols import EvaluateTemplates, Evolution, EvolutionProgress

logger = logging.getLogger(__name__)


class GepaEvolution:
    """Beam search over templates with gepa, then greedy cover and assignment.

    Starts from the empty template. Each iteration takes up to `width` parents from the Pareto
    front, reflects on a minibatch for each, and keeps children that gain on their minibatch.

    Deviations from the paper's reference implementation: every metric call is charged, the seed's
    evaluation and all minibatches included, and the budget is never exceeded; a result that is
    kept costs nothing; a search that stands still ends; a hard set that no template solves gives
    an empty pool instead of an error.

    Args:
        reflection: Writes templates.
        assigner: Chooses templates and deals them out.
        budget: Metric calls: a number, or a preset such as ``heavy_4`` (the paper's).
        width: Parents in one iteration, W of the paper.
        minibatch_size: Samples in one reflection, B of the paper; all of them when there are fewer.
        dev_size: Samples of a full evaluation; a hard set below 1.5 times as many is halved.
        minimum: Hard samples below which there is no search and the pool is empty. Neither is there
            one when the budget cannot pay for a single accepted proposal on the hard set at hand.
        stop_when_solved: Whether to end as soon as each dev sample is solved by some template, the
            empty one included. That saves calls, and a better template may be missed: one that
            solves what now takes two.
        patience: Iterations in a row that may bring nothing to try, because reflections fail or
            write what is known, before the search ends.
        among: Samples that have templates: those that are hard at the time, or all problems.
        leaks: What happens to a template that gives a problem away, see `p2o.evolution.leaks`:
            ``reject`` keeps it out of the search, ``warn`` tells of it, ``off`` does not look.
        seed_pool: The ``pool.json`` of an earlier run, also of another model. Each search proposes
            its templates first, and they count for what they score in it.
        evidence: Epochs for which rollouts of training count in the search; 0 is the paper's, which
            asks for everything anew. What training has shown then costs no metric call; each
            search reflects on failures that are known, see `FailuresFirst`; and it is made only for
            hard samples on which the templates at hand have been rolled out in vain, while these
            templates stay in the pool (`p2o.evolution.incumbents`).
        most_reliance: Nats a token; a template at hand whose successes rely on it more than that,
            as training has measured it (see `LeastReliance`), spares no search. None asks nothing.
        fill_width: Whether each iteration makes `width` proposals: parents are taken again, with
            other minibatches, where the front has fewer. At first it has one, the empty template,
            and an iteration one proposal. Filled, a search makes fewer and larger engine calls, and
            sees less of what came of one proposal before it makes the next.

    Raises:
        UserError: A size or the budget cannot work, be it for the smallest hard set there can be.
    """

    def __init__(
        self,
        reflection: Reflection,
        assigner: Assigner,
        budget: str | int = "heavy_4",
        width: int = 16,
        minibatch_size: int = 3,
        dev_size: int = 300,
        minimum: int = 100,
        stop_when_solved: bool = False,
        patience: int = 5,
        among: Where = "hard",
        leaks: Action = "reject",
        seed_pool: str | None = None,
        evidence: Whole = 0,
        most_reliance: Positive | None = None,
        fill_width: bool = False,
    ) -> None:
        for name, size in (
            ("width", width),
            ("minibatch_size", minibatch_size),
            ("dev_size", dev_size),
            ("patience", patience),
        ):
            if size < 1:
                raise UserError(f"{name}={size}: give at least 1")
        if minimum < 2:
            raise UserError(
                f"minimum={minimum}: give at least 2, since train and dev need one each"
            )
        self.reflection, self.assigner, self.budget = reflection, assigner, budget
        self.width, self.minibatch_size, self.dev_size = width, minibatch_size, dev_size
        self.minimum, self.stop_when_solved, self.patience = minimum, stop_when_solved, patience
        self.among: Where = among
        self.leaks: Action = leaks
        self.first = () if seed_pool is None else seed_texts(seed_pool)
        self.lasts, self.most_reliance, self.fill_width = evidence, most_reliance, fill_width
        if most_reliance is not None and not evidence:
            raise UserError(
                f"most_reliance={most_reliance}: nothing is known of templates at hand with "
                "evidence=0; give evidence of an epoch or more, or leave it out"
            )
        self.evidence, self.problems = Evidence({}), Problems([])
        least = self._budget_for(minimum)
        if least.calls < least.smallest:
            raise UserError(
                f"budget={budget}: even for {minimum} hard samples the seed, one "
                f"proposal and its acceptance take {least.smallest} metric calls, so give no less"
            )

    def bind(self, problems: Problems) -> None:
        """See `KnowsProblems`."""
        self.problems = problems
        if self.lasts:
            self.evidence = problems.evidence
            self.evidence.lasts = max(self.evidence.lasts, self.lasts)
        if self.most_reliance is not None:
            problems.keeps_reliance = True

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
        hard_set = self.problems.samples(self.among, hard_set)
        bound = math.inf if self.most_reliance is None else self.most_reliance
        relied_on = [hint for hint, value in self.problems.reliance.items() if value > bound]
        guard = LeakGuard(self.leaks)
        guard.learn_shown(hard_set, self.evidence)
        known = find_incumbents(self.evidence, hard_set, guard.admits, relied_on)
        unsolved = sorted(known.failed) if known.templates else hard_set
        found = self._found(unsolved, evaluate, guard, seed, report)
        if self.lasts:
            found = replace(found, spared=found.spared or 0, solved_before=len(known.solved))
        templates = list(found.pool.templates)
        if not templates and known.templates:
            templates = [known_template(self.evidence, "", hard_set, ())]
        if not templates:
            return found
        templates = with_incumbents(templates, known.templates)
        return replace(found, pool=self.assigner.assign(templates, hard_set, group_size, seed))

    def _found(
        self,
        hard_set: Sequence[str],
        evaluate: EvaluateTemplates,
        guard: LeakGuard,
        seed: int,
        report: Callable[[EvolutionProgress], None],
    ) -> Evolution:
        """What a search for some samples finds, not dealt out; nothing where there is none."""
        if len(hard_set) < self.minimum:
            return Evolution(PromptPool())
        train, dev = split_hard_set(hard_set, self.dev_size, seed)
        budget = self._budget_for(len(hard_set))
        if budget.calls < budget.smallest:
            logger.warning(
                "budget=%s: %d metric calls cannot pay for the seed, one "
                "proposal and its acceptance on %d dev samples, which take %d; no search",
                self.budget,
                budget.calls,
                len(dev),
                budget.smallest,
            )
            return Evolution(PromptPool())
        trace = SearchTrace(train, dev)
        adapter = TemplateAdapter(budget.around(evaluate), guard, self.evidence)
        templates, iterations = self._search(
            train, dev, budget, adapter, guard, seed, report, trace
        )
        # A problem that was tried later on may be one that an earlier template gives away.
        templates = [
            each if guard.admits(each.text) else replace(each, solved=frozenset())
            for each in templates
        ]
        return Evolution(
            PromptPool(tuple(templates)),
            budget.spent,
            iterations,
            tuple(trace.candidates),
            leaks=guard.count,
            spared=adapter.spared if self.lasts else None,
        )

    def deal(
        self, pool: PromptPool, hard_set: Sequence[str], *, group_size: int, seed: int
    ) -> Mapping[str, tuple[int | None, ...]]:
        """See `p2o_callbacks.Evolver`."""
        samples = self.problems.samples(self.among, hard_set)
        return self.assigner.assign(pool.templates, samples, group_size, seed).assignment

    def _budget_for(self, samples: int) -> Budget:
        """The budget of a search on so many hard samples."""
        dev = dev_part(samples, self.dev_size)
        minibatch_size = min(self.minibatch_size, samples - dev)
        return Budget(resolve_budget(self.budget, dev), minibatch_size, dev)

    def _search(
        self,
        train: list[str],
        dev: list[str],
        budget: Budget,
        adapter: TemplateAdapter,
        guard: LeakGuard,
        seed: int,
        report: Callable[[EvolutionProgress], None],
        trace: SearchTrace,
    ) -> tuple[list[Template], int]:
        """Templates found and iterations made."""
        reflector = Reflector(self.reflection, seed, trace.reflected, guard.admits, self.first)
        watch = Watch(budget, report, adapter, dev)
        standstill = Standstill(self.patience, reflector)
        generator = random.Random(f"beam-{seed}")
        beam = ParetoBeam(self.width, budget, generator, self.fill_width)
        stoppers = [budget, reflector.failed, standstill]
        if self.stop_when_solved:
            stoppers.append(EverythingSolved(adapter, dev))
        result = optimize(
            seed_candidate={COMPONENT: ""},
            trainset=train,
            valset=dev,
            adapter=cast(GEPAAdapter[Any, Any, Any], adapter),
            reflection_strategy=reflector,
            # Whether there is nothing to learn is asked of verdicts, by the adapter.
            skip_perfect_score=False,
            batch_sampler=Minibatches(budget.minibatch_size, random.Random(f"minibatches-{seed}")),
            sampling_strategy=self._sampling(beam, adapter, train, dev, seed),
            selection_strategy=AffordableImprovements(budget),
            acceptance_criterion=JudgedImprovement(),
            stop_callbacks=stoppers,
            callbacks=[cast(GEPACallback, each) for each in (watch, reflector, standstill, trace)],
            logger=Quiet(),
            track_best_outputs=False,
            seed=seed,
        )
        if reflector.error is not None:
            raise reflector.error
        if standstill.reached:
            logger.info(
                "the search ended at %d of %d metric calls: %d iterations in a row brought no "
                "template to try",
                budget.spent,
                budget.calls,
                standstill.still,
            )
        return _templates(result, dev, adapter), watch.iterations

    def _sampling(
        self,
        beam: ParetoBeam,
        adapter: TemplateAdapter,
        train: list[str],
        dev: list[str],
        seed: int,
    ) -> JudgedBeam | FailuresFirst:
        if not self.lasts:
            return JudgedBeam(beam, adapter, dev)
        size, generator = beam.budget.minibatch_size, random.Random(f"failures-{seed}")
        return FailuresFirst(beam, adapter, train, dev, size, generator)


def _templates(
    result: GEPAResult[Any, Any], dev: Sequence[str], adapter: TemplateAdapter
) -> list[Template]:
    """All of gepa's candidates, with scores and verdicts by sample id."""
    templates = []
    for candidate, parents in zip(result.candidates, result.parents, strict=True):
        text = candidate[COMPONENT]
        scores = adapter.scores(text, dev)
        templates.append(
            Template(
                text=text,
                parents=tuple(parent for parent in parents if parent is not None),
                score=mean(scores),
                dev_scores=scores,
                solved=adapter.solved(text) & frozenset(dev),
            )
        )
    return templates
