"""The loss of what goes through the network in one pass, and what is measured on the way."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from p2o.learning.minibatch import MiniBatch
from p2o.learning.step_metrics import SumAndWeight
from p2o.objectives.engine_correction import EngineCorrection
from p2o.objectives.kl import KLPenalty, kl_estimate
from p2o.objectives.policy_loss import PolicyLoss
from p2o.objectives.zero_variance import entropy_shaped


@dataclass(frozen=True)
class PassLoss:
    """The policy loss, with what divergence costs and what entropy earns.

    Attributes:
        policy_loss: The loss of advantages.
        kl: What divergence from the reference policy costs, for batches that have its
            log-probabilities.
        entropy_coefficient: Weight of the policy's entropy, which the loss rewards.
        correction: Weights for tokens to which engine and trainer give different probabilities.
    """

    policy_loss: PolicyLoss
    kl: KLPenalty
    entropy_coefficient: float = 0.0
    correction: EngineCorrection | None = None

    def __call__(
        self, batch: MiniBatch, log_probs: Tensor, entropies: Tensor, updates: int
    ) -> tuple[Tensor, dict[str, SumAndWeight], dict[str, Tensor]]:
        """The loss of M learned tokens, a share of that of the whole optimiser step.

        Args:
            batch: What went through the network; a stream that it lacks has a default.
            log_probs: `[M]`, with gradient.
            entropies: `[M]`
            updates: That the policy has had.

        Returns:
            The loss, this pass's parts of the step's means, and values of which the step's highest
            is wanted.
        """
        old = batch.stream("old_log_probs", log_probs.detach())
        weights = batch.stream("token_weights", 1.0)
        shares: dict[str, SumAndWeight] = {}
        highest: dict[str, Tensor] = {}
        sampled = batch.stream("sampled_log_probs", torch.nan)
        if {"sampled_log_probs", "engine_log_ratio"} & batch.streams.keys():
            log_ratio = batch.stream("engine_log_ratio", old - sampled).detach()
            shares["engine_kl"], highest["engine_ratio_max"] = compare_with_engine(log_ratio)
        if self.correction is not None:
            more = _further(self.correction.reads, batch, entropies)
            weights = weights * self.correction(old, sampled, batch.sequences, **more)
        where = batch.sequences, batch.total_tokens, batch.total_sequences
        advantages = batch.stream("advantages", 0.0)
        if "without_contrast" in batch.streams:
            shaped = entropy_shaped(advantages, entropies.detach(), batch.sequences)
            advantages = torch.where(batch.has("without_contrast"), shaped, advantages)
        more = _further(self.policy_loss.reads, batch, entropies)
        loss, sums = self.policy_loss(log_probs, old, advantages, weights, *where, **more)
        tokens = len(batch.sequences)
        shares |= {name: (total, tokens) for name, total in sums.items()}
        versions = batch.stream("policy_version", float(updates))
        shares["staleness"] = (updates - versions).sum(), tokens
        shares["entropy"] = entropies.detach().sum(), tokens
        if "reference_log_probs" in batch.streams:
            measured = batch.has("reference_log_probs")
            reference = batch.stream("reference_log_probs", log_probs.detach())
            divergences = kl_estimate(log_probs, reference, self.kl.estimator)
            divergences = divergences.masked_fill(~measured, 0.0)
            shares["kl"] = divergences.sum(), measured.sum()
            if self.kl.in_loss:
                penalty = self.policy_loss.aggregate(divergences, *where)
                loss = loss + self.kl.coefficient * penalty
        if self.entropy_coefficient:
            bonus = self.policy_loss.aggregate(entropies, *where)
            loss = loss - self.entropy_coefficient * bonus
        return loss, shares, highest


def _further(names: Iterable[str], batch: MiniBatch, entropies: Tensor) -> dict[str, Tensor]:
    """`[M]` each, what a loss or a correction names in `reads`; not a number where it is not."""
    return {
        name: entropies.detach() if name == "entropies" else batch.stream(name, torch.nan)
        for name in names
    }


def compare_with_engine(log_ratio: Tensor) -> tuple[SumAndWeight, Tensor]:
    """How far the engine's log-probabilities of what it sampled are from the trainer's.

    Args:
        log_ratio: `[M]`, r, the trainer's minus the engine's; not a number where the trainer's
            are not known.

    Returns:
        The part of a mean of exp(r) - 1 - r, which estimates KL(engine || trainer), and the highest
        exp(r); minus infinity where none is known.
    """
    divergences = (torch.expm1(log_ratio) - log_ratio).nan_to_num(0.0)
    nothing = log_ratio.new_full((1,), -torch.inf)
    ratios = torch.cat([log_ratio.exp().nan_to_num(-torch.inf), nothing])
    return (divergences.sum(), (~log_ratio.isnan()).sum()), ratios.max()
