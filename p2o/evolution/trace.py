"""What a gepa search has tried and what became of it, gathered from its events."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from p2o.evolution.adapter import COMPONENT, judged_gain
from p2o_callbacks.candidates import Candidate, Exchange
from p2o_callbacks.protocols import TemplateTrial

NOT_TRIED = "not tried"
NO_GAIN = "no better than its parent on the minibatch"
NOT_TAKEN = "better on the minibatch, but known already or beyond the budget"


@dataclass(frozen=True)
class Reflected:
    """What came of one reflection.

    Attributes:
        text: The template to try; empty where there is none.
        reason: Why there is none.
        exchange: What wrote it, where that is known.
    """

    text: str
    reason: str = ""
    exchange: Exchange | None = None


@dataclass
class _Task:
    """A parent and a minibatch, to reflect on."""

    parent: int
    minibatch: tuple[str, ...] = ()
    scores: tuple[float, ...] = ()
    trials: list[TemplateTrial] = field(default_factory=list)
    skipped: bool = False


class SearchTrace:
    """Follows a search through gepa's callbacks; see `gepa.core.callbacks` for the events.

    Args:
        train: Ids of the samples to reflect on, in gepa's order.
        dev: Ids of the samples of a full evaluation, likewise.

    Attributes:
        candidates: All so far; the seed is the first.
    """

    def __init__(self, train: Sequence[str], dev: Sequence[str]) -> None:
        self.train, self.dev = train, dev
        self.candidates: list[Candidate] = []
        # Places among the candidates of those that gepa's pool holds.
        self._pool: list[int] = []
        self._iteration = 0
        self._tasks: list[_Task] = []
        # How many of them gepa has looked at to reflect on.
        self._looked_at = 0
        # Places of this iteration's candidates that have a text and no scores yet, each with the
        # trials of its parent.
        self._untried: list[tuple[int, list[TemplateTrial]]] = []
        # By place, what the others of this iteration gained.
        self._gains: dict[int, float] = {}

    def on_iteration_start(self, event: Any) -> None:
        """Begin a round of proposals."""
        self._iteration, self._tasks, self._looked_at = event["iteration"], [], 0
        self._untried, self._gains = [], {}

    def on_candidate_selected(self, event: Any) -> None:
        """A parent."""
        self._tasks.append(_Task(event["candidate_idx"]))

    def on_minibatch_sampled(self, event: Any) -> None:
        """Its minibatch."""
        self._tasks[-1].minibatch = tuple(self.train[int(i)] for i in event["minibatch_ids"])

    def on_evaluation_end(self, event: Any) -> None:
        """Scores of a parent, in the order of the tasks, or of a child, in that of the texts."""
        scores = tuple(map(float, event["scores"]))
        if event["candidate_idx"] is None:
            place, before = self._untried.pop(0)
            self._gains[place] = gain = judged_gain(before, event["outputs"])
            reason = NOT_TAKEN if gain > 0 else NO_GAIN
            self._change(place, score_after=scores, reason=reason)
        else:
            task = next(task for task in self._tasks if not task.scores)
            task.scores, task.trials = scores, event["outputs"]

    def on_evaluation_skipped(self, event: Any) -> None:
        """There is nothing to learn from the next minibatch."""
        # The event names parent and scores, in which tasks may be alike. But gepa goes through the
        # tasks in their order, and tells of each either this or that a proposal starts.
        self._tasks[self._looked_at].skipped = True
        self._looked_at += 1

    def on_proposal_start(self, event: Any) -> None:
        """The next minibatch is reflected on."""
        self._looked_at += 1

    def reflected(self, outcomes: Sequence[Reflected]) -> None:
        """What came of the reflections of this round, in the order of its tasks."""
        tasks = [task for task in self._tasks if not task.skipped]
        for task, outcome in zip(tasks, outcomes, strict=True):
            if outcome.text:
                self._untried.append((len(self.candidates), task.trials))
            self.candidates.append(
                Candidate(
                    outcome.text,
                    self._iteration,
                    (self._pool[task.parent],),
                    task.minibatch,
                    task.scores,
                    reason=outcome.reason or NOT_TRIED,
                    exchange=outcome.exchange,
                )
            )

    def on_valset_evaluated(self, event: Any) -> None:
        """The seed, or a candidate that has been accepted."""
        text = event["candidate"][COMPONENT]
        scores = {self.dev[int(i)]: float(s) for i, s in event["scores_by_val_id"].items()}
        if not self._pool:
            self.candidates.append(Candidate(text))
        parents = tuple(self._pool[i] for i in event["parent_ids"] if i is not None)
        asked = text, self._iteration, parents
        places = [
            index
            for index, each in enumerate(self.candidates)
            if (each.text, each.iteration, each.parents) == asked
        ]
        # One text may have been written on several minibatches; the largest gain brought it in.
        place = max(places, key=lambda index: self._gains.get(index, 0.0))
        self._pool.append(place)
        self._change(place, dev_scores=scores, accepted=True, reason="")

    def _change(self, place: int, **changes: Any) -> None:
        self.candidates[place] = replace(self.candidates[place], **changes)
