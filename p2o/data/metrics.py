"""What a batch of groups looks like in numbers."""

from collections.abc import Sequence

from torch import Tensor

from p2o.objectives.contrast import opening_contrast, reward_spread
from p2o.rollout.runner import Rollout
from p2o.verifiers.base import Status

OPENING_TOKENS = 4
"""First tokens of a response that count as its opening."""


def rollout_metrics(groups: Sequence[Sequence[Rollout]]) -> dict[str, float]:
    """Summarise groups of rollouts for the log."""
    rollouts = [rollout for group in groups for rollout in group]
    statuses = [rollout.score.status for rollout in rollouts]
    metrics = {
        "reward/mean": mean([rollout.score.reward for rollout in rollouts]),
        "groups/dead": mean([len({r.score.reward for r in group}) == 1 for group in groups]),
        "groups/templated": mean([any(r.templated for r in group) for group in groups]),
        "response/tokens": mean([len(rollout.completion.token_ids) for rollout in rollouts]),
        "response/cut": mean([r.completion.finish_reason == "length" for r in rollouts]),
        "response/no_answer": mean([status == Status.NO_ANSWER for status in statuses]),
        "verifier/failed": mean([s in (Status.TIMEOUT, Status.ERROR) for s in statuses]),
        **{f"verifier/{status}": float(statuses.count(status)) for status in Status},
    }
    templated = [r for group in groups if any(r.templated for r in group) for r in group]
    if templated:
        metrics["templated/reward"] = mean([rollout.score.reward for rollout in templated])
    return metrics


def template_metrics(groups: Sequence[Sequence[Rollout]], advantages: Tensor) -> dict[str, float]:
    """The contrast of templated groups; without contrast nothing is distilled.

    It is the spread of rewards between templates, and the share of advantage that reaches the first
    tokens. Empty when no group has a template.

    Args:
        groups: G groups of K rollouts.
        advantages: `[G, K]`.
    """
    spreads, contrasts = [], []
    for group, row in zip(groups, advantages.tolist(), strict=True):
        if any(rollout.templated for rollout in group):
            scores = [rollout.score.reward for rollout in group]
            openings = [rollout.completion.token_ids[:OPENING_TOKENS] for rollout in group]
            spreads.append(reward_spread(scores, [rollout.template for rollout in group]))
            contrasts.append(opening_contrast(row, openings))
    if not spreads:
        return {}
    return {
        "templated/reward_spread": mean(spreads),
        "templated/opening_contrast": mean(contrasts),
    }


def mean(values: Sequence[float]) -> float:
    """Arithmetic mean."""
    return sum(values) / len(values)
