"""Why a policy gets the rewards that it gets, as far as a few rollouts can tell."""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from itertools import zip_longest

from p2o.evaluation.statistics import bootstrap_interval, success_interval
from p2o.learning.pass_at_k import pass_at_k
from p2o.prompt import Prompt
from p2o.rollout.runner import Rollout
from p2o.verifiers.base import Status
from p2o.verifiers.mentions import mentions

SIZES = (6, 12)
"""Rollouts of a group, K of the paper, for which the price of a contrast is told."""
TELLING = 5
"""Completions that are shown."""
ROUNDING = 1e-9
"""By which chances may differ that are alike."""

Interval = tuple[float, float]


class Outcome(StrEnum):
    """What came of a rollout; each has exactly one."""

    RIGHT = "right"
    WRONG = "wrong"
    """An answer was found, and it is not right."""
    CUT = "cut"
    """The response reached its length limit before an answer that can be read."""
    NO_ANSWER = "no answer found"
    UNPARSED = "unparsed"
    """An answer was found and could not be read."""
    FAILED = "verifier failed"


UNREAD = (Outcome.NO_ANSWER, Outcome.UNPARSED)
"""The response came to its end, and the verifier could not make an answer of it."""


def outcome(rollout: Rollout) -> Outcome:
    """What came of a rollout."""
    score = rollout.score
    if score.failed:
        return Outcome.FAILED
    if score.solved:
        return Outcome.RIGHT
    if score.status == Status.OK:
        return Outcome.WRONG
    if is_cut(rollout):
        return Outcome.CUT
    return Outcome.NO_ANSWER if score.status == Status.NO_ANSWER else Outcome.UNPARSED


def is_cut(rollout: Rollout) -> bool:
    """Whether a response reached its length limit."""
    return rollout.completion.finish_reason == "length"


def states_gold(rollout: Rollout) -> bool:
    """Whether a response has a right answer in it that the question does not have."""
    question = rollout.prompt.question
    return any(
        any(mentions(rollout.response, gold)) and not any(mentions(question, gold))
        for gold in rollout.prompt.golds
    )


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval.

    Attributes:
        value: The best guess.
        low: Lower end.
        high: Upper end.
    """

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class TriedProblem:
    """One prompt and its bare rollouts.

    Attributes:
        prompt: What was asked.
        rollouts: Without any hint.
    """

    prompt: Prompt
    rollouts: Sequence[Rollout]

    @cached_property
    def judged(self) -> list[Rollout]:
        """Rollouts with a verdict; one without is no evidence either way."""
        return [rollout for rollout in self.rollouts if not rollout.score.failed]

    @property
    def solved(self) -> int:
        """Rollouts that are right."""
        return sum(bool(rollout.score.solved) for rollout in self.judged)

    def pass_at(self, k: int) -> Estimate | None:
        """Probability that one of k rollouts is right; None without k verdicts.

        The interval is that of the success rate p, exact for a binomial, as 1 - (1 - p)^k; and it
        has the estimate inside, which can be 1 where k rollouts are all there are.
        """
        if len(self.judged) < k:
            return None
        low, high = (1 - (1 - end) ** k for end in success_interval(self.solved, len(self.judged)))
        value = pass_at_k(len(self.judged), self.solved, k)
        return Estimate(value, min(low, value), max(high, value))

    def contrast(self, size: int) -> float:
        """Probability that rewards differ within a group of so many rollouts."""
        return contrast_chance([rollout.score.reward for rollout in self.judged], size)


def contrast_chance(rewards: Sequence[float], size: int) -> float:
    """Probability that `size` of these rewards, drawn without replacement, are not all equal.

    That is an estimate without bias where there are `size` rewards or more; with fewer they are
    drawn with replacement, which is too low on average.

    Example::

        >>> [round(contrast_chance([1, 0, 0], size), 3) for size in (2, 3, 6)]
        [0.667, 1.0, 0.911]
    """
    counts = Counter(round(reward, 6) for reward in rewards).values()
    total = len(rewards)
    if total < size:
        return 1 - sum((count / total) ** size for count in counts) if total else 0.0
    return 1 - sum(math.comb(count, size) for count in counts) / math.comb(total, size)


@dataclass(frozen=True)
class Price:
    """What a group whose rewards differ costs, on these problems.

    Attributes:
        size: Rollouts of a group, K.
        chance: Share of groups whose rewards differ.
        rollouts: Rollouts to be made for one such group; infinite where none was seen.
        least: Lower end of its 95 % interval.
        most: Upper end, which can be infinite.
    """

    size: int
    chance: float
    rollouts: float
    least: float
    most: float


def price_of_contrast(problems: Sequence[TriedProblem], size: int) -> Price:
    """Expected rollouts for one group with contrast, when problems are drawn evenly.

    Of the interval see `_interval`. Where no group could have one, the least is told by the
    pooled success rate: 1 - (1 - p)^K is concave, so a mixture of problems does no better.
    """
    chances = [problem.contrast(size) for problem in problems]
    chance = sum(chances) / len(chances)
    low, high = _interval(chances)
    if chance == 0:
        judged = sum(len(problem.judged) for problem in problems)
        right = sum(problem.solved for problem in problems)
        rate = success_interval(min(right, judged - right), max(1, judged))[1]
        high = 1 - (1 - rate) ** size
    return Price(size, chance, *(size / each if each else math.inf for each in (chance, high, low)))


def _interval(chances: Sequence[float]) -> Interval:
    """95 % interval of the mean chance of problems like these.

    It draws problems (bootstrap). Where all chances are alike, every resample is like the sample,
    so that it has no width. Then an exact interval says how large a share of problems have at least
    this chance, and at most: the others could have none, or all. One problem tells nothing of
    others.
    """
    one = chances[0]
    if len(chances) == 1:
        return 0.0, 1.0
    if max(chances) - min(chances) > ROUNDING:
        return bootstrap_interval(chances)
    share, _ = success_interval(len(chances), len(chances))
    return share * one, 1 - share * (1 - one)


@dataclass(frozen=True)
class Spending:
    """What may be spent.

    Attributes:
        problems: Training prompts that are looked at.
        samples: Bare rollouts of each.
        hints: Hints that are tried on what no bare rollout solved.
        tries: Rollouts of each hint on each of these.
    """

    problems: int
    samples: int
    hints: int
    tries: int

    @property
    def bare(self) -> int:
        """Rollouts without a hint."""
        return self.problems * self.samples

    @property
    def hinted(self) -> int:
        """Rollouts with one, at most."""
        return self.problems * self.hints * self.tries


@dataclass(frozen=True)
class HintTrial:
    """What one hint did for problems that were never solved without it.

    Attributes:
        text: The hint.
        rollouts: With it in front.
    """

    text: str
    rollouts: Sequence[Rollout]

    @cached_property
    def reached(self) -> tuple[str, ...]:
        """Ids of the problems that were solved with it, each once."""
        return tuple(dict.fromkeys(r.prompt.id for r in self.rollouts if r.score.solved))


@dataclass(frozen=True)
class Diagnosis:
    """All that was sampled.

    Attributes:
        problems: With bare rollouts.
        hints: Tried on problems that no bare rollout solved.
    """

    problems: Sequence[TriedProblem]
    hints: Sequence[HintTrial] = ()

    @cached_property
    def rollouts(self) -> list[Rollout]:
        """All bare rollouts."""
        return [rollout for problem in self.problems for rollout in problem.rollouts]

    @cached_property
    def shares(self) -> dict[Outcome, float]:
        """Share of bare rollouts by outcome."""
        counts = Counter(map(outcome, self.rollouts))
        return {each: counts[each] / max(1, len(self.rollouts)) for each in Outcome}

    @cached_property
    def has_partial_rewards(self) -> bool:
        """Whether a bare rollout got another reward than 0 or 1."""
        return any(r.score.reward not in (0, 1) for r in self.rollouts if not r.score.failed)

    @cached_property
    def unsolved(self) -> list[TriedProblem]:
        """Problems that no bare rollout solved; one without any verdict is none of them."""
        return [problem for problem in self.problems if problem.judged and not problem.solved]

    @cached_property
    def reached(self) -> Mapping[str, list[HintTrial]]:
        """The hints that solved a problem, by its id, for each that some hint solved."""
        found: dict[str, list[HintTrial]] = {}
        for hint in self.hints:
            for prompt_id in hint.reached:
                found.setdefault(prompt_id, []).append(hint)
        return found

    @cached_property
    def stated(self) -> list[Rollout]:
        """Rollouts that have the right answer where the verifier read none."""
        return [r for r in self.rollouts if outcome(r) in UNREAD and states_gold(r)]

    def price(self, size: int) -> Price:
        """See `price_of_contrast`."""
        return price_of_contrast(self.problems, size)

    def telling(self, number: int = TELLING) -> list[tuple[str, Rollout]]:
        """Completions that say most about what is wrong, and what they show.

        One of each kind in turn, what can be put right first; no problem twice while there are
        others.
        """
        stated = {id(rollout) for rollout in self.stated}
        kinds: Sequence[tuple[str, Callable[[Rollout], bool]]] = (
            ("the verifier failed", lambda r: outcome(r) == Outcome.FAILED),
            ("the right answer is there, and was not found", lambda r: id(r) in stated),
            ("cut before an answer", lambda r: outcome(r) == Outcome.CUT),
            ("no answer was found", lambda r: outcome(r) in UNREAD and id(r) not in stated),
            ("wrong", lambda r: outcome(r) == Outcome.WRONG),
            ("right", lambda r: outcome(r) == Outcome.RIGHT),
        )
        queues = [
            [(what, rollout) for rollout in _spread(self.problems) if fits(rollout)]
            for what, fits in kinds
        ]
        picked: list[tuple[str, Rollout]] = []
        seen: set[str] = set()
        while any(queues):
            for queue in filter(None, queues):
                places = range(len(queue))
                new = (i for i in places if queue[i][1].prompt.id not in seen)
                picked.append(queue.pop(next(new, 0)))
                seen.add(picked[-1][1].prompt.id)
                if len(picked) == number:
                    return picked
        return picked


def _spread(problems: Iterable[TriedProblem]) -> list[Rollout]:
    """The first rollout of each problem, then the second of each, and so on."""
    rows = zip_longest(*(problem.rollouts for problem in problems))
    return [rollout for row in rows for rollout in row if rollout is not None]
