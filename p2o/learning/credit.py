"""How much better than expected each rollout was: from verdicts to advantages."""

import math
from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from p2o.learning.baseline import (
    Advantages,
    Baseline,
    asks_for_verdicts,
    is_shaped_by_entropy,
)
from p2o.objectives.advantages import live_groups
from p2o.objectives.overlong import Overlong
from p2o.rollout.runner import Rollout

Groups = Sequence[Sequence[Rollout]]


class CreditAssignment:
    """Shapes rewards, compares them, and says which rollouts are part of the loss.

    A rollout without a verdict is evidence of nothing: it is no part of its group's statistics, has
    no advantage and stays out of the loss.

    Args:
        advantages: What bare groups get.
        baseline: What templated groups get.
        overlong: What long responses get.
        drop_failed_templated: Whether failed templated rollouts are left out of the loss and its
            denominator; their reward still counts in their group.
    """

    def __init__(
        self,
        advantages: Advantages,
        baseline: Baseline,
        overlong: Overlong,
        drop_failed_templated: bool,
    ) -> None:
        self.advantages, self.baseline, self.overlong = advantages, baseline, overlong
        self.drop_failed_templated = drop_failed_templated

    def observe(self, groups: Groups) -> None:
        """Take note of every group that is sampled, before any of them is assigned credit."""
        self.baseline.observe(groups)

    def verdicts(self, groups: Groups) -> Tensor:
        """Advantages `[G, K]` of the verifier's rewards alone, nothing added or taken."""
        return self.baseline.advantages(groups, _rewards(groups), self._estimate(groups))

    def assign(self, groups: Groups, penalties: Tensor | float) -> Tensor:
        """Advantages `[G, K]` of shaped rewards.

        Penalties act within groups that have contrast without them. They would be all that another
        group is trained on, and its advantages would be in units of their own spread.

        Args:
            groups: G groups of K rollouts, all that are trained on together.
            penalties: `[G, K]`, or a number for all, taken from the rewards.
        """
        shaped = self._shaped(groups)
        shaped = shaped - penalties * live_groups(shaped)[:, None]
        return self.baseline.advantages(groups, shaped, self._estimate(groups))

    def by_entropy(self, groups: Groups) -> list[bool]:
        """Which groups have advantages that the policy's entropies shape token by token.

        Those of equal rewards, punishments counted in, where the estimate asks for it. A group with
        a templated rollout is none: there the baseline says what its rollouts get.
        """
        if not is_shaped_by_entropy(self.advantages):
            return [False] * len(groups)
        alike = (~live_groups(self._shaped(groups))).tolist()
        return [
            same and not any(rollout.templated for rollout in group)
            for same, group in zip(alike, groups, strict=True)
        ]

    def _estimate(self, groups: Groups) -> Advantages:
        if not asks_for_verdicts(self.advantages):
            return self.advantages
        return partial(self.advantages, solved=_solved(groups))

    def _shaped(self, groups: Groups) -> Tensor:
        lengths = ragged([torch.tensor([_drawn(rollout) for rollout in g]) for g in groups])
        return _rewards(groups) + self.overlong.punishment(lengths)

    def counts(self, rollout: Rollout) -> bool:
        """Whether a rollout is part of the loss and its denominator."""
        if rollout.score.failed:
            return False
        if self.overlong.mask and rollout.completion.finish_reason == "length":
            return False
        return not (self.drop_failed_templated and rollout.templated and not rollout.score.solved)


def ragged(rows: Sequence[Tensor]) -> Tensor:
    """Rows of different length as one `[G, K]`, not a number where a row has ended."""
    return torch.nn.utils.rnn.pad_sequence(list(rows), batch_first=True, padding_value=math.nan)


def _drawn(rollout: Rollout) -> float:
    """How many tokens the engine drew, which are those that the limit of length is about.

    A forced beginning that is learned has no log-probability of the engine's.
    """
    completion = rollout.completion
    return float(len(completion.sampled_ids) - sum(map(math.isnan, completion.log_probs)))


def _rewards(groups: Groups) -> Tensor:
    """`[G, K]`, not a number where the verifier failed."""
    return ragged(
        [
            torch.tensor([math.nan if r.score.failed else float(r.score.reward) for r in group])
            for group in groups
        ]
    )


def _solved(groups: Groups) -> Tensor:
    """`[G, K]`, 1 where the verdict is that it is solved, 0 where it is not; else not a number."""
    verdicts = [[rollout.score.solved for rollout in group] for group in groups]
    return ragged(
        [torch.tensor([math.nan if v is None else float(v) for v in g]) for g in verdicts]
    )
