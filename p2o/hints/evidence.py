"""What training rollouts have shown of hints, so that a search does not pay for it again."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any

from p2o.prompt import Prompt
from p2o_callbacks.protocols import TemplateTrial

KEPT = ("score", "solved", "response", "feedback")
"""Of a trial, what a checkpoint holds: the question and the answers are the problem's."""


@dataclass(frozen=True, slots=True)
class Shown:
    """How one hint fared on one problem the last time that it was rolled out there.

    Attributes:
        epoch: When.
        rollouts: How many had a verdict, at least one.
        solved: How many of them were right.
        score: Mean of their scores.
    """

    epoch: int
    rollouts: int
    solved: int
    score: float

    @property
    def verdict(self) -> bool | None:
        """Whether all were right; None where they disagree."""
        return None if 0 < self.solved < self.rollouts else self.solved > 0


class Evidence:
    """A ledger of what rollouts of training have shown, by problem and hint.

    A policy changes, and what an earlier one did says little of it. So what is older than `lasts`
    epochs is forgotten: the epoch at hand, or the one that has just ended, is the first of them.

    Args:
        prompts: The training prompts, by id.

    Attributes:
        MOST_TEXTS: Pairs of a problem and a hint, the newest, of which one rollout is kept with its
            response. At 12 kB each they take 240 MB on every rank and in every checkpoint, where
            all pairs of 40,000 hard problems would take 11 GB. It is many more than a search
            reflects on, and of any other pair counts and score are still known.
        lasts: Epochs that evidence counts for; nothing is kept at 0.
    """

    MOST_TEXTS = 20_000

    def __init__(self, prompts: Mapping[str, Prompt]) -> None:
        self._prompts, self.lasts = prompts, 0
        self._epoch = 0
        self._shown: dict[str, dict[str, Shown]] = {}
        # Of the newest pairs one rollout each, a failure where there is one, the oldest pair first.
        self._told: dict[tuple[str, str], TemplateTrial] = {}

    def note(self, epoch: int, tried: Mapping[str, Sequence[tuple[str, TemplateTrial]]]) -> None:
        """Take in groups of one batch; what was known of the same hint and problem is replaced.

        Args:
            epoch: At hand.
            tried: By problem id, the hint of each rollout, empty for a bare one, and how it fared.
        """
        if not self.lasts:
            return
        if epoch != self._epoch:
            self._epoch = epoch
            self._forget()
        for problem, trials in tried.items():
            by_hint: defaultdict[str, list[TemplateTrial]] = defaultdict(list)
            for hint, trial in trials:
                if trial.solved is not None:
                    by_hint[hint].append(trial)
            shown = self._shown.setdefault(problem, {})
            for hint, judged in by_hint.items():
                shown[hint] = _summed(epoch, judged)
                self._tell((problem, hint), _telling(judged))

    def _tell(self, pair: tuple[str, str], trial: TemplateTrial) -> None:
        """Keep a rollout of a pair, which is the newest, in place of that of the oldest."""
        self._told.pop(pair, None)
        self._told[pair] = trial
        if len(self._told) > self.MOST_TEXTS:
            del self._told[next(iter(self._told))]

    def _forget(self) -> None:
        left = {
            problem: {
                hint: shown
                for hint, shown in hints.items()
                if shown.epoch > self._epoch - self.lasts
            }
            for problem, hints in self._shown.items()
        }
        self._shown = {problem: hints for problem, hints in left.items() if hints}
        self._told = {
            (problem, hint): trial
            for (problem, hint), trial in self._told.items()
            if hint in self._shown.get(problem, {})
        }

    def trial(self, problem: str, hint: str) -> TemplateTrial | None:
        """A result that needs no trial: all rollouts were right, or all were wrong.

        They were drawn as training draws them, where a search may take the most probable tokens.

        Args:
            problem: Its id.
            hint: Its text; empty for the bare prompt.

        Returns:
            One of the rollouts with the mean score; None where they disagree, where there was none,
            and where none is kept, so that it is asked anew.
        """
        if self.verdict(problem, hint) is None:
            return None
        trial, shown = self._told[problem, hint], self._shown[problem][hint]
        return replace(trial, score=shown.score, repeatable=True)

    def verdict(self, problem: str, hint: str) -> bool | None:
        """What `trial` says of a pair, without making one; None where it has none."""
        if (problem, hint) not in self._told:
            return None
        return self._shown[problem][hint].verdict

    def example(self, problem: str) -> TemplateTrial | None:
        """Some rollout of a problem; None where there is none, and where none is kept."""
        hints = self._shown.get(problem, {})
        pairs = ((problem, hint) for hint in hints)
        return next((self._told[pair] for pair in pairs if pair in self._told), None)

    def asked(self, problem: str) -> tuple[str, tuple[str, ...]] | None:
        """Question and right answers of a problem; None where it was not rolled out."""
        example, prompt = self.example(problem), self._prompts.get(problem)
        if example is not None:
            return example.question, example.answers
        return (prompt.question, prompt.golds) if prompt and self._shown.get(problem) else None

    def solved_by(self, problem: str) -> frozenset[str]:
        """Hints, the empty one not among them, with which some rollout of a problem was right."""
        shown = self._shown.get(problem, {})
        return frozenset(hint for hint, each in shown.items() if hint and each.solved)

    def failed_with(self, problem: str) -> frozenset[str]:
        """Hints, the empty one not among them, with which all rollouts of a problem were wrong."""
        shown = self._shown.get(problem, {})
        return frozenset(hint for hint, each in shown.items() if hint and not each.solved)

    def solved_with(self, hint: str) -> frozenset[str]:
        """Ids of the problems of which some rollout with a hint was right."""
        return frozenset(
            problem
            for problem, hints in self._shown.items()
            if hint in hints and hints[hint].solved
        )

    def by_hint(self) -> dict[str, dict[str, Shown]]:
        """How each hint fared, by problem; that of the bare prompt is empty."""
        found: defaultdict[str, dict[str, Shown]] = defaultdict(dict)
        for problem, hints in self._shown.items():
            for hint, shown in hints.items():
                found[hint][problem] = shown
        return dict(found)

    def tallies(self) -> dict[str, tuple[int, int]]:
        """By hint, rollouts that were right and all with a verdict, over all problems."""
        found: dict[str, tuple[int, int]] = {}
        for hints in self._shown.values():
            for hint, shown in hints.items():
                right, rollouts = found.get(hint, (0, 0))
                found[hint] = right + shown.solved, rollouts + shown.rollouts
        return found

    def scores(self, hint: str, problems: Collection[str]) -> dict[str, float]:
        """Mean score of a hint on those of some problems on which it was rolled out."""
        found = {problem: self._shown.get(problem, {}).get(hint) for problem in problems}
        return {problem: shown.score for problem, shown in found.items() if shown is not None}

    def state_dict(self) -> dict[str, Any]:
        """Primitives only, for a checkpoint."""
        pairs = [(problem, hint) for problem, hints in self._shown.items() for hint in hints]
        places = {pair: place for place, pair in enumerate(pairs)}
        return {
            "epoch": self._epoch,
            "shown": [self._row(*pair) for pair in pairs],
            # Which rows have a rollout, the oldest first.
            "told": [places[pair] for pair in self._told],
        }

    def _row(self, problem: str, hint: str) -> dict[str, Any]:
        shown, trial = self._shown[problem][hint], self._told.get((problem, hint))
        return {
            "problem": problem,
            "hint": hint,
            "epoch": shown.epoch,
            "rollouts": shown.rollouts,
            "right": shown.solved,
            "mean": shown.score,
            **({} if trial is None else {name: getattr(trial, name) for name in KEPT}),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` wrote, of those problems that are still there."""
        self._epoch, self._shown, self._told = state["epoch"], {}, {}
        rows = [row for row in state["shown"] if row["problem"] in self._prompts]
        for row in rows:
            shown = Shown(row["epoch"], row["rollouts"], row["right"], row["mean"])
            self._shown.setdefault(row["problem"], {})[row["hint"]] = shown
        # Checkpoints of before have a rollout in every row.
        for row in (
            state["shown"][place] for place in state.get("told", range(len(state["shown"])))
        ):
            prompt = self._prompts.get(row["problem"])
            if prompt is not None:
                told = {name: row[name] for name in KEPT}
                trial = TemplateTrial(question=prompt.question, answers=prompt.golds, **told)
                self._tell((prompt.id, row["hint"]), trial)


def _summed(epoch: int, trials: Sequence[TemplateTrial]) -> Shown:
    right = sum(bool(trial.solved) for trial in trials)
    return Shown(epoch, len(trials), right, fmean(trial.score for trial in trials))


def _telling(trials: Sequence[TemplateTrial]) -> TemplateTrial:
    """The first failure, or the first of all where there is none."""
    return next((trial for trial in trials if not trial.solved), trials[0])
