"""Advice where hints stand around rollouts of an epoch and next to none of these succeeds."""

from collections.abc import Sequence

from p2o.rollout.runner import Rollout

HARDLY = 0.05
"""Share of hinted rollouts that succeed, below which there is advice."""
FEWEST = 20
"""Hinted rollouts of an epoch below which there is none."""


class UnhelpfulHints:
    """Counts rollouts with hints, and their successes."""

    def __init__(self) -> None:
        self._hinted = self._solved = 0

    def see(self, groups: Sequence[Sequence[Rollout]]) -> None:
        """Take note of a batch of groups; a rollout without a verdict says nothing."""
        hinted = [rollout for group in groups for rollout in group if rollout.templated]
        judged = [rollout for rollout in hinted if rollout.score.solved is not None]
        self._hinted += len(judged)
        self._solved += sum(bool(rollout.score.solved) for rollout in judged)

    def advice(self) -> str | None:
        """One line, where hints hardly helped in what was seen; begins anew."""
        hinted, solved = self._hinted, self._solved
        self._hinted = self._solved = 0
        if hinted < FEWEST or solved >= HARDLY * hinted:
            return None
        return (
            f"{solved} of this epoch's {hinted} rollouts with a hint were right, so that there is "
            "next to nothing to learn from hints: this policy cannot use such hints here. Choose "
            "another kind of hints or another reflection that writes them, or look with p2o-doctor "
            "which help"
        )
