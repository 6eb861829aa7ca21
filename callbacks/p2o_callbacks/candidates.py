"""What a search has tried, for those who want to know how a template came about. Plain data."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Exchange:
    """What a language model was asked, and what it answered, word for word.

    Attributes:
        prompt: What it was asked.
        answer: All of its answer; empty where none came.
        cut_off: Whether the answer ended at its length limit.
    """

    prompt: str
    answer: str
    cut_off: bool = False


@dataclass(frozen=True)
class Candidate:
    """One template that a search started from or asked for.

    Attributes:
        text: Of the template; empty for the seed, and where nothing usable was written.
        iteration: Round of proposals in which it was asked for; 0 for what was there before.
        parents: Places among the candidates of the search of those it was derived from.
        minibatch: Ids of the samples that were reflected on.
        score_before: The parent's score on each of them.
        score_after: Its own; empty where it was not tried on them.
        dev_scores: Score on each dev sample, by id; empty where it was not tried on them.
        accepted: Whether it is in the pool of the search.
        reason: Why it is not; empty where it is.
        exchange: What wrote it, where a language model did and the backend has kept it.
    """

    text: str
    iteration: int = 0
    parents: tuple[int, ...] = ()
    minibatch: tuple[str, ...] = ()
    score_before: tuple[float, ...] = ()
    score_after: tuple[float, ...] = ()
    dev_scores: Mapping[str, float] = field(default_factory=dict)
    accepted: bool = False
    reason: str = ""
    exchange: Exchange | None = None
