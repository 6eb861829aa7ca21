"""What an epoch shows to be wrong with a run, told in one line each, and once."""

import logging
from collections.abc import Mapping, Sequence

from p2o.distillation.reweighted import Reweighted
from p2o.distillation.strategy import DistillationStrategy
from p2o.learning.unhelpful import UnhelpfulHints
from p2o.learning.unread import UnreadResponses
from p2o.rollout.runner import Rollout, RolloutRunner

logger = logging.getLogger(__name__)

OUT_OF_REACH = 0.1
"""Share of the tokens of successes below which a mask leaves next to nothing of them."""
NOT_READ = -0.1
"""Nats a token by which right responses become less probable when the policy is told something."""


class Telltale:
    """Looks at every batch of a training, and warns at the end of an epoch.

    Args:
        keys: Where arguments are set that a warning names; see `UnreadResponses`.
    """

    def __init__(self, keys: Mapping[str, str] | None = None) -> None:
        # Whether a rollout of this epoch had a reward; None where its beginning was not seen.
        self._rewarded: bool | None = None
        self._unread, self._unhelpful = UnreadResponses(keys), UnhelpfulHints()
        self._said: set[str] = set()

    def begin_epoch(self) -> None:
        """From here on everything is seen."""
        self._rewarded = False

    def see(self, groups: Sequence[Sequence[Rollout]]) -> None:
        """Take note of a batch of groups."""
        if self._rewarded is False:
            self._rewarded = any(r.score.reward > 0 for group in groups for r in group)
        self._unread.see(groups)
        self._unhelpful.see(groups)

    def see_weights(self, metrics: Mapping[str, float]) -> None:
        """Warn where failures are unlearned while nothing is learned from successes.

        Args:
            metrics: Of a batch; see `p2o.learning.metrics.weight_metrics`.
        """
        reach, push = (metrics.get(f"templated/{name}") for name in ("reach", "push"))
        if reach is not None and push and reach < OUT_OF_REACH:
            self._say_once(
                "unlearning",
                f"the Context Ratio Mask keeps {100 * reach:.0f} % of what templated successes say "
                "(templated/reach) and failures are pushed down (templated/push): such updates "
                "unlearn and teach nothing; take a tapered distillation, or one of successes only",
            )

    def see_told(
        self, share: float, strategy: DistillationStrategy, metrics: Mapping[str, float]
    ) -> None:
        """Warn where the policy cannot read what it is told when it grades.

        Args:
            share: Of rollouts that are told something.
            strategy: Tells it.
            metrics: Of a batch; see `p2o.learning.metrics.weight_metrics`.
        """
        reliance = metrics.get("templated/reliance", 0.0)
        if strategy.told is not None and share and reliance < NOT_READ:
            # There the reward alone says which way a response is pushed.
            threat = "" if isinstance(strategy, Reweighted) else ", and would unlearn what it says"
            self._say_once(
                "told",
                f"told {strategy.told.what}, the policy finds right responses less probable than "
                f"without (templated/reliance {reliance:.2f}): it cannot use what it is told"
                f"{threat}; put the text that tells it another way, or take another distillation",
            )

    def end_epoch(self, epoch: int, runner: RolloutRunner, limit: int) -> None:
        """Warn of what the epoch has shown.

        Args:
            epoch: Which has ended.
            runner: Its verifier has read the responses.
            limit: Of the tokens of a response.
        """
        if epoch == 0 and self._rewarded is False:
            logger.warning(
                "no rollout of the first epoch had a reward; p2o-doctor with the same settings "
                "looks for the reason"
            )
        self._say_once("unread", self._unread.advice(runner, limit))
        self._say_once("unhelpful", self._unhelpful.advice())

    def _say_once(self, name: str, text: str | None) -> None:
        if text is not None and name not in self._said:
            self._said.add(name)
            logger.warning("%s", text)
