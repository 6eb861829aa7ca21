"""How much better than expected each rollout was: from verdicts to advantages."""

from collections.abc import Sequence

import torch
from torch import Tensor

from p2o.data.baseline import Advantages, Baseline
from p2o.objectives.overlong import Overlong
from p2o.rollout.runner import Rollout


class CreditAssignment:
    """Shapes rewards, compares them, and says which rollouts are part of the loss.

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

    def assign(self, groups: Sequence[Sequence[Rollout]], penalties: Tensor | float) -> Tensor:
        """Advantages `[G, K]`.

        Args:
            groups: G groups of K rollouts, all that are trained on together.
            penalties: `[G, K]`, or a number for all, taken from the rewards.
        """
        rewards = torch.tensor([[rollout.score.reward for rollout in group] for group in groups])
        lengths = torch.tensor([[len(r.completion.token_ids) for r in group] for group in groups])
        shaped = rewards + self.overlong.punishment(lengths) - penalties
        return self.baseline.advantages(groups, shaped, self.advantages)

    def counts(self, rollout: Rollout) -> bool:
        """Whether a rollout is part of the loss and its denominator."""
        if self.overlong.mask and rollout.completion.finish_reason == "length":
            return False
        failed = rollout.templated and not rollout.score.solved
        return not (self.drop_failed_templated and failed)
