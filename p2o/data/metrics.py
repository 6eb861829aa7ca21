"""What a batch of groups looks like in numbers."""

from collections.abc import Sequence

from torch import Tensor

from p2o.objectives.contrast import opening_contrast, reward_spread
from p2o.rollout.runner import Rollout
from p2o.verifiers.base import Status

OPENING_TOKENS = 4
"""First tokens of a response that count as its opening."""


def rollout_metrics(
    groups: Sequence[Sequence[Rollout]], advantages: Tensor, live: Tensor
) -> dict[str, float]:
    """Summarise groups for the log.

    Templated groups also get their contrast: the spread of rewards between templates and the
    share of advantage that reaches the first tokens. Without contrast nothing is distilled.

    Args:
        groups: G groups of K rollouts.
        advantages: `[G, K]`.
        live: `[G]`, whether the group's rewards differ.
    """
    rollouts = [rollout for group in groups for rollout in group]
    statuses = [rollout.score.status for rollout in rollouts]
    metrics = {
        "reward/mean": mean([rollout.score.reward for rollout in rollouts]),
        "groups/dead": 1.0 - live.float().mean().item(),
        "groups/templated": mean([any(r.templated for r in group) for group in groups]),
        "response/tokens": mean([len(rollout.completion.token_ids) for rollout in rollouts]),
        "response/cut": mean([r.completion.finish_reason == "length" for r in rollouts]),
        "response/no_answer": mean([status == Status.NO_ANSWER for status in statuses]),
        "verifier/failed": mean([s in (Status.TIMEOUT, Status.ERROR) for s in statuses]),
    }
    templated = [index for index, group in enumerate(groups) if any(r.templated for r in group)]
    if templated:
        spreads, contrasts, rewards = [], [], []
        for index in templated:
            group = groups[index]
            scores = [rollout.score.reward for rollout in group]
            openings = [rollout.completion.token_ids[:OPENING_TOKENS] for rollout in group]
            spreads.append(reward_spread(scores, [rollout.template for rollout in group]))
            contrasts.append(opening_contrast(advantages[index].tolist(), openings))
            rewards += scores
        metrics["templated/reward"] = mean(rewards)
        metrics["templated/reward_spread"] = mean(spreads)
        metrics["templated/opening_contrast"] = mean(contrasts)
    return metrics


def mean(values: Sequence[float]) -> float:
    """Arithmetic mean."""
    return sum(values) / len(values)
