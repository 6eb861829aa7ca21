"""What a batch of groups looks like in numbers."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from p2o.objectives.contrast import opening_contrast, reward_spread
from p2o.rollout.runner import Rollout
from p2o.verifiers.base import Status

MEAN_REWARD = "mean reward, partial ones counted"
"""Name of the mean reward beside accuracies, in tables for people."""
OPENING_TOKENS = 4
"""First sampled tokens of a response that count as its opening."""


OF_EACH_SOURCE = (
    *("groups/dead", "groups/templated", "response/tokens", "response/no_answer"),
    *("verifier/failed", "reward/mean", "reward/solved"),
)
"""Metrics that are logged for each source as well, ``reward/solved`` as ``reward/NAME/solved``."""


def rollout_metrics(groups: Sequence[Sequence[Rollout]]) -> dict[str, float]:
    """Summarise groups of rollouts for the log, and those of each source by its name."""
    metrics = _metrics(groups)
    for source in sorted({group[0].prompt.source for group in groups} - {""}):
        own = _metrics([group for group in groups if group[0].prompt.source == source])
        for name in OF_EACH_SOURCE:
            if name in own:
                metrics[name.replace("/", f"/{source}/")] = own[name]
    return metrics


def _metrics(groups: Sequence[Sequence[Rollout]]) -> dict[str, float]:
    rollouts = [rollout for group in groups for rollout in group]
    statuses = [rollout.score.status for rollout in rollouts]
    judged = [rollout for rollout in rollouts if not rollout.score.failed]
    metrics = {
        "groups/dead": mean([len(_verdicts(group)) <= 1 for group in groups]),
        "groups/templated": mean([any(r.templated for r in group) for group in groups]),
        "response/tokens": mean([len(rollout.completion.sampled_ids) for rollout in rollouts]),
        "response/cut": mean([r.completion.finish_reason == "length" for r in rollouts]),
        "response/no_answer": mean([status == Status.NO_ANSWER for status in statuses]),
        "verifier/failed": mean([s in (Status.TIMEOUT, Status.ERROR) for s in statuses]),
        **{f"verifier/{status}": float(statuses.count(status)) for status in Status},
    }
    inserted = [len(r.completion.token_ids) - len(r.completion.sampled_ids) for r in rollouts]
    if any(inserted):
        metrics["response/inserted_tokens"] = mean(inserted)
    # A verdict that was not given is no reward of 0.
    if judged:
        metrics["reward/mean"] = mean(_rewards(judged))
        metrics["reward/solved"] = mean([bool(rollout.score.solved) for rollout in judged])
    hinted = [group for group in groups if any(rollout.templated for rollout in group)]
    for name, templated in (("templated/reward", True), ("templated/bare_reward", False)):
        rewards = _rewards([r for group in hinted for r in group if r.templated == templated])
        if rewards:
            metrics[name] = mean(rewards)
    return metrics


def weight_metrics(sums: Mapping[tuple[bool, str], float]) -> dict[str, float]:
    r"""What becomes of templated rollouts' tokens, of all and by verdict.

    | metric | what |
    |---|---|
    | ``templated/weight_zero`` | share of tokens that the update drops; ``_solved``, ``_failed`` |
    | ``templated/reach`` | share of the tokens of successes that the mask keeps |
    | ``templated/reliance`` | mean log pi(y|x~) - log pi(y|x) of a token of successes |
    | ``templated/pull`` | positive advantage times weight, a token, before the loss's ratio |
    | ``templated/push`` | negative, likewise |

    Args:
        sums: By verdict and name: tokens ``all``, of which ``zero`` have no weight in the update
            and ``pull`` and ``push`` reach it; tokens ``scored`` in both contexts, and their
            ``reliance``.
    """
    metrics = {}
    for name, verdicts in (("", (True, False)), ("_solved", (True,)), ("_failed", (False,))):
        tokens = sum(sums[solved, "all"] for solved in verdicts)
        if tokens:
            metrics[f"templated/weight_zero{name}"] = (
                sum(sums[solved, "zero"] for solved in verdicts) / tokens
            )
    scored = sums[True, "scored"]
    if scored:
        metrics["templated/reach"] = 1 - sums[True, "zero"] / scored
        metrics["templated/reliance"] = sums[True, "reliance"] / scored
    tokens = sum(sums[solved, "all"] for solved in (True, False))
    if tokens:
        for name in ("pull", "push"):
            metrics[f"templated/{name}"] = sum(sums[s, name] for s in (True, False)) / tokens
    return metrics


def template_metrics(groups: Sequence[Sequence[Rollout]], advantages: Tensor) -> dict[str, float]:
    """The contrast of templated groups; without contrast nothing is distilled.

    It is the spread of rewards between templates, and the share of advantage that reaches the first
    tokens, those of bare rollouts of such a group too. Empty when no group has a template.

    Args:
        groups: G groups of K rollouts.
        advantages: `[G, K]`, K of the largest.
    """
    spreads, contrasts = [], []
    for group, row in zip(groups, advantages.tolist(), strict=True):
        if any(rollout.templated for rollout in group):
            templated = [r for r in group if r.templated and not r.score.failed]
            openings = [rollout.completion.sampled_ids[:OPENING_TOKENS] for rollout in group]
            if templated:
                hints = [rollout.hint for rollout in templated]
                spreads.append(reward_spread(_rewards(templated), hints))
            contrasts.append(opening_contrast(row[: len(group)], openings))
    both = {"templated/reward_spread": spreads, "templated/opening_contrast": contrasts}
    return {name: mean(values) for name, values in both.items() if values}


def partial_reward(summary: Mapping[str, Any]) -> Mapping[str, float | None] | None:
    """The mean reward before and after, where it says something that the accuracy does not.

    Args:
        summary: Of a run; ``accuracy`` and, if it is known, ``reward`` are looked at.
    """
    reward, accuracy = summary.get("reward"), summary["accuracy"]
    if reward is None or all(_same(reward[when], accuracy[when]) for when in accuracy):
        return None
    return reward


def _same(one: float | None, other: float | None) -> bool:
    if one is None or other is None:
        return one is other
    return math.isclose(one, other, abs_tol=1e-6)


def _verdicts(group: Sequence[Rollout]) -> set[float]:
    return set(_rewards(group))


def _rewards(rollouts: Sequence[Rollout]) -> list[float]:
    """Those with a verdict behind them."""
    return [rollout.score.reward for rollout in rollouts if not rollout.score.failed]


def mean(values: Sequence[float]) -> float:
    """Arithmetic mean."""
    return sum(values) / len(values)
