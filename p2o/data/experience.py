"""From scored rollouts to rows: which context the gradient sees, old log-probs, token weights."""

from collections.abc import Callable, Sequence

from torch import Tensor

from p2o.data.minibatch import Row
from p2o.distillation.strategy import Context, DistillationStrategy
from p2o.rollout.runner import Rollout

ScoreResponses = Callable[[Sequence[tuple[tuple[int, ...], tuple[int, ...]]]], list[Tensor]]
"""Log-probabilities `[T]` of each response after its context, by the trainer's own forward."""


def make_rows(
    rollouts: Sequence[Rollout],
    advantages: Sequence[float],
    strategy: DistillationStrategy,
    score: ScoreResponses,
    on_policy: bool,
) -> list[Row]:
    """Apply a distillation strategy to rollouts (the paper's context distillation and CRM).

    Only log-probabilities that the strategy needs are computed, all in one call of `score`.

    Args:
        rollouts: Responses that carry gradient.
        advantages: One for each of them.
        strategy: Says what to do with templated rollouts; the others are plain on-policy data.
        score: The trainer's forward pass with the weights the rollouts were sampled with.
        on_policy: Whether these rows make the first update since sampling.
    """
    wanted = [
        (index, context)
        for index, rollout in enumerate(rollouts)
        for context in _contexts_to_score(rollout, strategy, on_policy)
    ]
    pairs = [
        (_ids(rollouts[i], context), rollouts[i].completion.token_ids) for i, context in wanted
    ]
    scored = dict(zip(wanted, score(pairs), strict=True)) if pairs else {}
    rows = []
    for index, (rollout, advantage) in enumerate(zip(rollouts, advantages, strict=True)):
        gradient, old, weights = Context.BARE, Context.BARE, None
        if rollout.templated:
            gradient, old = strategy.gradient_context, strategy.old_context
            if strategy.needs_ratio:
                weights = strategy.token_weights(
                    scored[index, Context.BARE], scored[index, Context.TEMPLATED]
                )
        rows.append(
            Row(
                context_ids=_ids(rollout, gradient),
                response_ids=rollout.completion.token_ids,
                advantage=advantage,
                old_log_probs=scored.get((index, old)),
                token_weights=weights,
            )
        )
    return rows


def _contexts_to_score(
    rollout: Rollout, strategy: DistillationStrategy, on_policy: bool
) -> list[Context]:
    if not rollout.templated:
        return [] if on_policy else [Context.BARE]
    if strategy.needs_ratio:
        return [Context.BARE, Context.TEMPLATED]
    if on_policy and strategy.old_context == strategy.gradient_context:
        return []
    return [strategy.old_context]


def _ids(rollout: Rollout, context: Context) -> tuple[int, ...]:
    return rollout.bare_ids if context == Context.BARE else rollout.context_ids
