"""Solved problems as hints: the run's own verified successes, as chat turns before a question."""

import random
from collections.abc import Iterator, Sequence
from itertools import islice

from p2o.constraints import Count
from p2o.evolution.guarded import Assignment, GuardedSearch, HintGuard, Report
from p2o.evolution.ladder import Ladder, Ladders
from p2o.evolution.leaks import Action
from p2o.evolution.split import split_hard_set
from p2o.evolution.trials import as_candidates, try_all
from p2o.hints.assignment import Assigner
from p2o.hints.problems import Problems, Where
from p2o.hints.similarity import Similarity
from p2o_callbacks.hint import Hint
from p2o_callbacks.pool import PromptPool, Template
from p2o_callbacks.protocols import EvaluateTemplates, Evolution, EvolutionProgress

Turn = tuple[str, str]
"""Question and answer."""


class Demonstrations(GuardedSearch):
    """Searches for a few solved problems that help with all hard ones.

    A candidate is `number` problems that the policy has solved, with its own verified response to
    each: no teacher and no reference solution is needed. Candidates are made in rounds: those of
    the first are dealt from the shuffled solved problems, and those of later ones are the best so
    far with one problem exchanged, once one of them has solved something. All are scored on the
    same dev samples, then covered and dealt out like templates. This is the bootstrapped few-shot
    search with random search of DSPy (arXiv 2310.03714), on what training has already paid for.

    No search takes place before something has been solved.

    Args:
        assigner: Chooses candidates and deals them out.
        number: Solved problems in a candidate.
        candidates: Tried in each round.
        rounds: How many.
        dev_size: Samples that each is tried on.
        keep: Problems of which a solution is kept to draw from, those solved last.
        among: Problems that have demonstrations: those that are hard at the time, or all.
        minimum: Problems below which there is no search.
        leaks: What happens to solved problems that give another one away, see `GuardedSearch`.
    """

    def __init__(
        self,
        assigner: Assigner,
        number: Count = 4,
        candidates: Count = 4,
        rounds: Count = 2,
        dev_size: Count = 24,
        keep: Count = 512,
        among: Where = "hard",
        minimum: Count = 1,
        leaks: Action = "reject",
    ) -> None:
        super().__init__(among, minimum, leaks)
        self.assigner, self.number, self.candidates = assigner, number, candidates
        self.rounds, self.dev_size, self.keep = rounds, dev_size, keep

    def bind(self, problems: Problems) -> None:
        """See `KnowsProblems`."""
        super().bind(problems)
        problems.keep = max(problems.keep, self.keep)

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
        if not self.problems.solutions:
            return Evolution(PromptPool())
        dev = split_hard_set(samples, self.dev_size, seed)[1] or samples
        generator = random.Random(f"demonstrations-{seed}")
        # The bare prompt is a candidate like any other.
        templates = try_all([Hint("")], dev, evaluate)
        budget = len(dev) * (1 + self.rounds * self.candidates)
        deck, known = self._deck(generator), set()
        for _ in range(self.rounds):
            best = max(templates[1:], key=_score, default=templates[0])
            drawn = [
                _exchanged(best.turns, self.solved, generator)
                if best.turns and best.solved
                else next(deck)
                for _ in range(self.candidates)
            ]
            fresh = {frozenset(turns): turns for turns in drawn if frozenset(turns) not in known}
            known.update(fresh)
            templates += try_all([Hint("", turns=t) for t in fresh.values()], dev, evaluate)
            calls = len(dev) * len(templates)
            top = max(map(_score, templates))
            report(EvolutionProgress(calls, budget, top, len(templates)))
        pool = self.assigner.assign(templates, samples, group_size, seed)
        calls = len(dev) * len(templates)
        return Evolution(pool, calls, self.rounds, as_candidates(templates, pool))

    def dealt(
        self, pool: PromptPool, samples: Sequence[str], *, group_size: int, seed: int
    ) -> Assignment:
        """See `GuardedSearch.dealt`."""
        return self.assigner.assign(pool.templates, samples, group_size, seed).assignment

    @property
    def solved(self) -> list[Turn]:
        """Question and answer of each problem that the policy has solved, in a fixed order."""
        return [
            (self.problems.prompts[name].question, self.problems.solutions[name])
            for name in sorted(self.problems.solutions)
        ]

    def _deck(self, generator: random.Random) -> Iterator[tuple[Turn, ...]]:
        """Solved problems, `number` at a time; none comes again before all were there."""
        solved = self.solved
        number = min(self.number, len(solved))
        while True:
            generator.shuffle(solved)
            for start in range(0, len(solved) - number + 1, number):
                yield tuple(solved[start : start + number])


class SimilarDemonstrations(Ladder):
    """Each hard sample is shown the solved problems that are most like it.

    It is tried with one, with twice as many, and so on up to `number`; it has the fewest that solve
    it, and `number` where none do.

    Args:
        number: Solved problems that a sample is shown at most.
        keep: Problems of which a solution is kept to choose from, those solved last.
        among: Problems that have demonstrations: those that are hard at the time, or all.
        minimum: Problems below which nothing is done.
        leaks: What happens to a solved problem that gives the other away, see `GuardedSearch`; with
            ``reject`` the next most alike takes its place.
    """

    def __init__(
        self,
        number: Count = 4,
        keep: Count = 512,
        among: Where = "hard",
        minimum: Count = 1,
        leaks: Action = "reject",
    ) -> None:
        super().__init__(among, minimum, leaks)
        self.number, self.keep = number, keep

    def bind(self, problems: Problems) -> None:
        """See `KnowsProblems`."""
        super().bind(problems)
        problems.keep = max(problems.keep, self.keep)

    def ladders(self, samples: Sequence[str], seed: int) -> Ladders:
        """See `Ladder.ladders`."""
        prompts, solutions = self.problems.prompts, self.problems.solutions
        questions = {name: prompts[name].question for name in solutions}
        alike, guard = Similarity(questions), self.guard()
        ladders = {}
        for sample in samples:
            near = alike.nearest(prompts[sample].question, len(questions))
            turns = list(islice(self._shown(sample, near, guard), self.number))
            ladders[sample] = [
                # The most like it stands last, next to the question.
                Hint("", turns=tuple(reversed(turns[:count])))
                for count in _doubled(len(turns))
            ]
        return ladders

    def _shown(self, sample: str, solved: Sequence[str], guard: HintGuard) -> Iterator[Turn]:
        """Those of the solved problems, in their order, that a problem may be shown."""
        prompt = self.problems.prompts[sample]
        for name in solved:
            turn = (self.problems.prompts[name].question, self.problems.solutions[name])
            gives_away = self.leaks == "reject" and guard.why(Hint("", turns=(turn,)), prompt)
            if name != sample and not gives_away:
                yield turn


def _exchanged(
    turns: Sequence[Turn], solved: Sequence[Turn], generator: random.Random
) -> tuple[Turn, ...]:
    """The turns with another solved problem in place of one, where there is another."""
    others = [turn for turn in solved if turn not in turns]
    changed = list(turns)
    if others:
        changed[generator.randrange(len(turns))] = generator.choice(others)
    return tuple(changed)


def _doubled(most: int) -> list[int]:
    """1, 2, 4 and so on, and the most there are; nothing of nothing."""
    powers = [2**n for n in range(most.bit_length()) if 2**n < most]
    return [*powers, most] if most else []


def _score(template: Template) -> float:
    return template.score or 0.0
