"""How far the policy is from a reference policy on its own samples, and what that costs."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from p2o.learning.credit import ragged
from p2o.learning.pushing import Place
from p2o.learning.samples import Scorer
from p2o.learning.scored import Contexts
from p2o.objectives.kl import KLPenalty, kl_estimate
from p2o.rollout.runner import Rollout
from p2o.running.distributed import gather_shards, rank, world_size


class Divergence:
    """Measured where a rollout was sampled in the context that the gradient sees.

    Args:
        kl: What it costs.
        contexts: Which context that is.
        score: Log-probabilities of the policy.
        reference: Those of the reference policy; None without one.
    """

    def __init__(
        self, kl: KLPenalty, contexts: Contexts, score: Scorer, reference: Scorer | None
    ) -> None:
        self.kl, self.contexts = kl, contexts
        self._score, self._reference = score, reference

    def references(self, rollouts: Mapping[Place, Rollout]) -> Mapping[Place, Tensor]:
        """Log-probabilities of the reference policy where they measure a divergence."""
        if self._reference is None:
            return {}
        measured = {
            place: (rollout, self.contexts.of_gradient(rollout))
            for place, rollout in rollouts.items()
            if self.contexts.sampled_after_gradient(rollout)
        }
        log_probs = self._reference(list(measured.values()))
        return dict(zip(measured, log_probs, strict=True))

    def penalties(self, groups: Sequence[Sequence[Rollout]]) -> Tensor | float:
        """What it takes from each reward, `[G, K]`, where it is a part of the reward.

        Nothing in a group of which a part cannot be measured: those that pay would be worse than
        others that fail.
        """
        if not self.kl.in_reward or self._reference is None:
            return 0.0
        everything = [rollout for group in groups for rollout in group]
        measured = [
            all(map(self.contexts.sampled_after_gradient, group)) for group in groups for _ in group
        ]
        places = [index for index, whole in enumerate(measured) if whole]
        mine = [
            (everything[index], self.contexts.of_gradient(everything[index]))
            for index in places[rank() :: world_size()]
        ]
        sums = [
            kl_estimate(policy, reference, self.kl.estimator).sum().item()
            for policy, reference in zip(self._score(mine), self._reference(mine), strict=True)
        ]
        penalties = torch.zeros(len(everything))
        penalties[places] = self.kl.coefficient * torch.tensor(gather_shards(sums))
        return ragged(penalties.split([len(group) for group in groups]))
