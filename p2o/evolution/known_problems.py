"""What a search knows of all problems, so that its hints give none of them away."""

from collections import Counter
from collections.abc import Iterable, Mapping
from functools import cached_property

import numpy as np

from p2o.evolution.leaks import STOCK, KnownAnswers, runs_of
from p2o.prompt import Prompt


class KnownProblems:
    """The problems of a run, their answers, and the words that are none's own.

    Problems never change, so a search has one of these for all of its guards. What they are looked
    through for is found when somebody asks for it.

    Args:
        prompts: The problems by id.
    """

    def __init__(self, prompts: Mapping[str, Prompt]) -> None:
        self.prompts = prompts

    @cached_property
    def answers(self) -> KnownAnswers:
        """The right answers of all problems."""
        answers = KnownAnswers()
        for prompt in self.prompts.values():
            answers.add(prompt.golds)
        return answers

    @cached_property
    def stock(self) -> frozenset[str]:
        """Runs of words that so many problems have that they are none's own."""
        return stock_runs([prompt.question for prompt in self.prompts.values()])


def stock_runs(questions: Iterable[str]) -> frozenset[str]:
    """Runs of words that `STOCK` questions share.

    Example::

        >>> questions = [f"{n} and so it goes on" for n in ("One", "Two", "Three")]
        >>> sorted(stock_runs([*questions, "And so it goes on", "And so it goes on"]))
        []
        >>> sorted(stock_runs([*["And so it goes on"] * 3, "Another question of theirs"]))
        ['and so it goes on']
    """
    questions = list(questions)
    # All runs of many long questions are gigabytes of text. Their hashes are not, and few are left.
    hashes = np.fromiter((hash(run) for each in questions for run in runs_of(each)), np.int64)
    values, counts = np.unique(hashes, return_counts=True)
    often = set(values[counts >= STOCK].tolist())
    shared = Counter(run for each in questions for run in runs_of(each) if hash(run) in often)
    return frozenset(run for run, problems in shared.items() if problems >= STOCK)
