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


@dataclass(frozen=True)
class Shown:
    """How one hint fared on one problem the last time that it was rolled out there.

    Attributes:
        epoch: When.
        rollouts: How many had a verdict, at least one.
        solved: How many of them were right.
        score: Mean of their scores.
        trial: One of them: a failure, where there is one.
    """

    epoch: int
    rollouts: int
    solved: int
    score: float
    trial: TemplateTrial


class Evidence:
    """A ledger of what rollouts of training have shown, by problem and hint.

    A policy changes, and what an earlier one did says little of it. So what is older than `lasts`
    epochs is forgotten: the epoch at hand, or the one that has just ended, is the first of them.

    Args:
        prompts: The training prompts, by id.

    Attributes:
        lasts: Epochs that evidence counts for; nothing is kept at 0.
    """

    def __init__(self, prompts: Mapping[str, Prompt]) -> None:
        self._prompts, self.lasts = prompts, 0
        self._epoch = 0
        self._shown: dict[str, dict[str, Shown]] = {}

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
            self._shown.setdefault(problem, {}).update(
                {hint: _summed(epoch, judged) for hint, judged in by_hint.items()}
            )

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

    def trial(self, problem: str, hint: str) -> TemplateTrial | None:
        """A result that needs no trial: all rollouts were right, or all were wrong.

        They were drawn as training draws them, where a search may take the most probable tokens.

        Args:
            problem: Its id.
            hint: Its text; empty for the bare prompt.

        Returns:
            One of the rollouts with the mean score; None where they disagree, or there was none.
        """
        shown = self._shown.get(problem, {}).get(hint)
        if shown is None or 0 < shown.solved < shown.rollouts:
            return None
        return replace(shown.trial, score=shown.score, repeatable=True)

    def example(self, problem: str) -> TemplateTrial | None:
        """Some rollout of a problem, for its question and its answers; None where there is none."""
        return next((shown.trial for shown in self._shown.get(problem, {}).values()), None)

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
        return {
            "epoch": self._epoch,
            "shown": [
                {
                    "problem": problem,
                    "hint": hint,
                    "epoch": shown.epoch,
                    "rollouts": shown.rollouts,
                    "right": shown.solved,
                    "mean": shown.score,
                    **{name: getattr(shown.trial, name) for name in KEPT},
                }
                for problem, hints in self._shown.items()
                for hint, shown in hints.items()
            ],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` wrote, of those problems that are still there."""
        self._epoch, self._shown = state["epoch"], {}
        for row in state["shown"]:
            prompt = self._prompts.get(row["problem"])
            if prompt is None:
                continue
            told = {name: row[name] for name in KEPT}
            trial = TemplateTrial(question=prompt.question, answers=prompt.golds, **told)
            shown = Shown(row["epoch"], row["rollouts"], row["right"], row["mean"], trial)
            self._shown.setdefault(prompt.id, {})[row["hint"]] = shown


def _summed(epoch: int, trials: Sequence[TemplateTrial]) -> Shown:
    right = sum(bool(trial.solved) for trial in trials)
    telling = next((trial for trial in trials if not trial.solved), trials[0])
    score = fmean(trial.score for trial in trials)
    return Shown(epoch, len(trials), right, score, telling)
