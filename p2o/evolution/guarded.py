"""What searches of every kind of hint share: for whom they are, and a guard against leaks.

A hint gives a problem away by what is written in it, in the ways of `p2o.evolution.leaks`: it says
a right answer, or it has words of the question. Of a solved problem that is shown, the answer is to
another question. It counts only where it is seldom the same by chance, and the question only where
it has most of the words of the problem.

A hint that is written for one problem, whose answer its writer was told, gives it away wherever the
answer stands in it (`p2o.evolution.leak`). It may have the problem's words.

What a hint shows of the problem's own columns, as a share of the solution, it shows on purpose.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import ClassVar

from p2o.constraints import Count
from p2o.evolution.known_problems import KnownProblems
from p2o.evolution.leak import tells
from p2o.evolution.leaks import (
    SHORTEST,
    Action,
    answer_of_a_problem,
    runs_of,
    tell,
    words_in,
    words_of_a_problem,
)
from p2o.hints.filling import COLUMN
from p2o.hints.problems import Problems, Where
from p2o.prompt import Prompt
from p2o_callbacks.hint import Hint, HintOrText, as_hint
from p2o_callbacks.pool import PromptPool
from p2o_callbacks.protocols import (
    EvaluateTemplates,
    Evolution,
    EvolutionProgress,
    TemplateTrial,
)

Report = Callable[[EvolutionProgress], None]
Assignment = Mapping[str, tuple[int | None, ...]]
"""By sample id, see `PromptPool`."""


class HintGuard:
    """Keeps hints from the problems that they give away; other problems may have them.

    Args:
        action: ``off`` looks at nothing, ``warn`` lets through what it finds, ``reject`` does not.
        problems: All that there are; nothing gives away one that is not among them.
        own: Whether each hint is written for one problem, whose words it may have, and whose answer
            it may not have at all.

    Attributes:
        found: Why, by hint, for all that give a problem away.
        withheld: Trials that were not made.
    """

    def __init__(self, action: Action, problems: KnownProblems, own: bool = False) -> None:
        self.action: Action = action
        self.found: dict[str, str] = {}
        self.withheld = 0
        self._problems, self._own = problems, own

    @property
    def count(self) -> int | None:
        """Hints that were found; None where nothing is looked at."""
        return None if self.action == "off" else len(self.found)

    def withholds(self, sample: str, hint: Hint) -> bool:
        """Whether a problem may not have a hint; counts and tells those that give it away."""
        prompt = self._problems.prompts.get(sample)
        if self.action == "off" or prompt is None:
            return False
        why = self.why(hint, prompt)
        if why is None:
            return False
        tell(self.action, "hint", hint.label, why, self.found)
        return self.action == "reject"

    def around(self, evaluate: EvaluateTemplates) -> EvaluateTemplates:
        """The same trials, but that a hint which gives a problem away solves nothing, untried."""

        def guarded(pairs: Sequence[tuple[str, HintOrText]]) -> list[TemplateTrial]:
            kept = [self.withholds(sample, as_hint(candidate)) for sample, candidate in pairs]
            asked = [pair for pair, is_kept in zip(pairs, kept, strict=True) if not is_kept]
            self.withheld += len(pairs) - len(asked)
            trials = iter(evaluate(asked) if asked else [])
            return [
                self._untried(sample) if is_kept else next(trials)
                for (sample, _), is_kept in zip(pairs, kept, strict=True)
            ]

        return guarded

    def allowed(self, pool: PromptPool, assignment: Assignment) -> Assignment:
        """An assignment in which rollouts are bare that would have a hint that is withheld."""
        allowed = {}
        for sample, assigned in assignment.items():
            drawn = sorted({index for index in assigned if index is not None})
            kept = {i for i in drawn if self.withholds(sample, pool.templates[i])}
            allowed[sample] = tuple(None if index in kept else index for index in assigned)
        return allowed

    def why(self, hint: Hint, prompt: Prompt) -> str | None:
        """What a hint gives away of a problem, in words that go behind "a hint"; None: nothing."""
        for text in (hint.text, hint.prefix):
            if not text:
                continue
            written = COLUMN.sub(" ", text) if hint.columns else text
            run = None if self._own else self._words_in(written, prompt)
            if run is not None:
                return words_of_a_problem(run)
            answer = self._answer_in(written, prompt.golds)
            if answer is not None:
                return answer_of_a_problem(answer)
        for question, response in hint.turns:
            # A problem is never shown in front of itself.
            if question == prompt.question:
                continue
            if self._is_copy(question, prompt):
                return "shows nearly the same question"
            answer = self._problems.answers.rare_in(response, prompt.golds)
            if answer is not None:
                return answer_of_a_problem(answer)
        return None

    def _answer_in(self, text: str, golds: Sequence[str]) -> str | None:
        """The first right answer of a problem that a text has, if it counts there."""
        told = [gold for gold in golds if tells(text, [gold])] if self._own else []
        return told[0] if told else self._problems.answers.said_in(text, golds)

    def _words_in(self, text: str, prompt: Prompt) -> str | None:
        """A run of words of a problem's own that a text has."""
        runs = _common(runs_of(prompt.question), text)
        return next((run for run in runs if run not in self._problems.stock), None)

    def _is_copy(self, question: str, prompt: Prompt) -> bool:
        """Whether a question has most of what is a problem's own.

        A run may be a phrase that few problems of a small data set share.
        """
        runs = runs_of(prompt.question)
        common = [run for run in _common(runs, question) if run not in self._problems.stock]
        return 2 * len(common) > len(runs)

    def _untried(self, sample: str) -> TemplateTrial:
        prompt = self._problems.prompts[sample]
        feedback = "The hint gives the problem away, so it was not tried."
        return TemplateTrial(0.0, False, prompt.question, "", feedback, answers=prompt.golds)


def _common(runs: Collection[str], text: str) -> list[str]:
    """The runs that a text has, in a fixed order."""
    there = f" {' '.join(words_in(text))} "
    if there.count(" ") <= SHORTEST:
        return []
    return sorted(run for run in runs if f" {run} " in there)


class GuardedSearch(ABC):
    """A search of one kind of hint; a subclass says which hints there are, and who has which.

    Args:
        among: Problems that have hints: those that are hard at the time, or all.
        minimum: Problems below which nothing is done.
        leaks: What happens to a hint that gives a problem away: ``reject`` keeps it from that
            problem, whose rollouts are bare in its place, ``warn`` tells of it, ``off`` does not
            look.

    Attributes:
        watching: The guard of the search at hand.
    """

    own_hints: ClassVar[bool] = False
    """Whether each hint is written for one problem, whose words it may have."""

    def __init__(self, among: Where = "hard", minimum: Count = 1, leaks: Action = "reject") -> None:
        self.among: Where = among
        self.minimum = minimum
        self.leaks: Action = leaks
        self.problems, self._known = Problems([]), KnownProblems({})
        self.watching = HintGuard("off", self._known)

    def bind(self, problems: Problems) -> None:
        """See `KnowsProblems`."""
        self.problems, self._known = problems, KnownProblems(problems.prompts)

    @abstractmethod
    def search(
        self,
        samples: Sequence[str],
        evaluate: EvaluateTemplates,
        *,
        group_size: int,
        seed: int,
        report: Report,
    ) -> Evolution:
        """Find hints and deal them out; see `p2o_callbacks.Evolver.evolve`.

        Args:
            samples: Ids of the problems that are to have hints, sorted; at least `minimum`.
            evaluate: Tries hints. One that gives a problem away solves it never.
            group_size: Rollouts of a problem to deal hints out to.
            seed: Of whatever is drawn.
            report: Called as the search goes on.
        """
        ...

    @abstractmethod
    def dealt(
        self, pool: PromptPool, samples: Sequence[str], *, group_size: int, seed: int
    ) -> Assignment:
        """Deal out what an earlier search found; see `p2o_callbacks.Evolver.deal`."""
        ...

    def evolve(
        self,
        hard_set: Sequence[str],
        evaluate: EvaluateTemplates,
        *,
        group_size: int,
        seed: int,
        report: Report,
    ) -> Evolution:
        """See `p2o_callbacks.Evolver`."""
        samples = self.problems.samples(self.among, hard_set)
        if len(samples) < max(1, self.minimum):
            return Evolution(PromptPool())
        self.watching = guard = self.guard()
        found = self.search(
            samples, guard.around(evaluate), group_size=group_size, seed=seed, report=report
        )
        assignment = guard.allowed(found.pool, found.pool.assignment)
        return replace(
            found,
            pool=replace(found.pool, assignment=assignment),
            metric_calls=found.metric_calls - guard.withheld,
            leaks=guard.count,
        )

    def deal(
        self, pool: PromptPool, hard_set: Sequence[str], *, group_size: int, seed: int
    ) -> Assignment:
        """See `p2o_callbacks.Evolver`."""
        samples = self.problems.samples(self.among, hard_set)
        assignment = self.dealt(pool, samples, group_size=group_size, seed=seed)
        return self.guard().allowed(pool, assignment)

    def guard(self) -> HintGuard:
        """A guard that knows of the problems."""
        return HintGuard(self.leaks, self._known, self.own_hints)
