"""A rollout that is trained on: which contexts it is scored in, and what its sample then carries.

Shapes: T learned tokens.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from types import MappingProxyType

import torch
from torch import Tensor

from p2o.distillation.strategy import DistillationStrategy
from p2o.learning.rolled_out import LONGEST, Learned
from p2o.learning.samples import sample_of, sampled_log_probs
from p2o.prompt import Context
from p2o.rollout.runner import Rollout
from p2o.sample import Sample


@dataclass(frozen=True)
class Contexts:
    """In which contexts a strategy looks at a rollout; without a template there is the bare one.

    Attributes:
        strategy: What to do with rollouts that have a template.
    """

    strategy: DistillationStrategy

    def of_gradient(self, rollout: Rollout) -> Context:
        """The one that is trained on."""
        return self.strategy.gradient_context if rollout.distilled else Context.BARE

    def of_old(self, rollout: Rollout) -> Context | None:
        """The one of the old log-probabilities; None for a ratio of one."""
        return self.strategy.old_context if rollout.distilled else Context.BARE

    def to_score(self, rollout: Rollout, on_policy: bool) -> list[Context]:
        """Those in which log-probabilities have to be known before the update.

        Args:
            rollout: Any.
            on_policy: Whether the update is made with the weights that sampled, so that the old
                log-probabilities are those of its own forward pass.
        """
        if rollout.distilled and self.strategy.choices is not None:
            return []
        if rollout.distilled and self.strategy.needs_log_probs:
            return [Context.BARE, Context.TEMPLATED]
        old = self.of_old(rollout)
        if old is None or (on_policy and old == self.of_gradient(rollout)):
            return []
        return [old]

    def sampled_after_gradient(self, rollout: Rollout) -> bool:
        """Whether the response is a sample of the policy in the context that is trained.

        Tokens of another context tell nothing of a divergence in this one. A hint that only begins
        the answer leaves the context as it is.
        """
        same = rollout.bare_ids == rollout.templated_ids
        return same or rollout.sampled_after == self.strategy.gradient_context


@dataclass(frozen=True)
class Choices:
    """What is learned at each place of a rollout in place of the token that was sampled.

    Attributes:
        tokens: `[T, C]`, the most probable ones on the bare prompt.
        bare: `[T, C]`, their log-probabilities there.
        templated: `[T, C]`, those on the prompt with the template.
    """

    tokens: Tensor
    bare: Tensor
    templated: Tensor


@dataclass(frozen=True)
class Scored:
    """A rollout with all that is known of it before the update.

    Attributes:
        rollout: What was sampled.
        advantage: Of the response in its group.
        contexts: In which its strategy looks at it.
        scores: `[T]` each, the trainer's log-probabilities, in the contexts that were asked for.
        reference: `[T]`, the reference policy's; None where they measure no divergence.
        updates: How many the policy has behind it.
        by_entropy: Whether the policy's entropies are to shape its advantage.
        choices: What is learned in place of its tokens; None for these.
    """

    rollout: Rollout
    advantage: float
    contexts: Contexts
    scores: Mapping[Context, Tensor]
    reference: Tensor | None = None
    updates: int = 0
    by_entropy: bool = False
    choices: Choices | None = None

    @property
    def solved(self) -> bool:
        """The verdict."""
        return bool(self.rollout.score.solved)

    @cached_property
    def sampled(self) -> Tensor:
        """`[T]`, the engine's log-probabilities."""
        return sampled_log_probs(self.rollout)

    @cached_property
    def drawn(self) -> bool:
        """Whether the engine drew all of it: it says nothing of a beginning that is learned."""
        return not self.sampled.isnan().any()

    @property
    def bare(self) -> Tensor:
        """`[T]` on the bare prompt, `[T, C]` of choices; empty where that was not asked for."""
        if self.choices is not None:
            return self.choices.bare
        return self.scores.get(Context.BARE, torch.empty(0))

    @property
    def templated(self) -> Tensor:
        """The same on the prompt with the template."""
        if self.choices is not None:
            return self.choices.templated
        return self.scores.get(Context.TEMPLATED, torch.empty(0))

    @property
    def in_both(self) -> bool:
        """Whether its own tokens were scored with a template and without."""
        asked = self.contexts.strategy.needs_log_probs and self.choices is None
        return self.rollout.distilled and asked

    @cached_property
    def token_weights(self) -> Tensor | None:
        """`[T]`, the strategy's; None for a weight of 1."""
        if not self.in_both:
            return None
        weights = self.contexts.strategy.token_weights(self.bare, self.templated)
        if weights is not None and weights.shape != self.bare.shape:
            raise ValueError(
                f"{type(self.contexts.strategy).__name__}.token_weights: the shape is "
                f"{list(weights.shape)}; give {list(self.bare.shape)}, a weight for each token"
            )
        return weights

    @cached_property
    def token_advantages(self) -> Tensor | float:
        """`[T]`, the strategy's, `[T, C]` of choices, or one for all tokens."""
        if not self.rollout.distilled:
            return self.advantage if self.contexts.strategy.rewards_alone else 0.0
        # Log-probabilities that the ratio alone needs are none of the strategy's.
        known = self.in_both or self.choices is not None
        scores = (self.bare, self.templated) if known else (torch.empty(0), torch.empty(0))
        return self.contexts.strategy.token_advantages(self.advantage, self.solved, *scores)

    def sample(self, streams: Mapping[str, "Stream"]) -> Sample:
        """It as a sample of the context that is trained on.

        Args:
            streams: What it is to carry.
        """
        sample = sample_of(self.rollout, self.contexts.of_gradient(self.rollout))
        if self.choices is not None:
            sample = replace(sample, choices=self.choices.tokens)
        sample = sample.with_streams(**{name: make(self) for name, make in streams.items()})
        weights = self.token_weights
        if weights is None or self.contexts.strategy.masked_in_denominator:
            return sample
        return sample.keep(weights != 0)

    def learned(self) -> Learned:
        """What is made of it, for those who watch."""
        log_ratio = _engine_log_ratio(self)
        engine_kl = None if log_ratio is None else _mean(-log_ratio)
        if self.token_weights is None:
            return Learned(self.advantage, engine_kl, weight=1.0)
        ratios = self.bare[:LONGEST] - self.templated[:LONGEST]
        return Learned(
            self.advantage,
            engine_kl,
            kept=_mean((self.token_weights != 0).float()),
            reliance=_mean(self.templated - self.bare),
            weight=_mean(self.token_weights),
            log_ratios=ratios if self.solved else None,
        )

    def sums(self) -> dict[tuple[bool, str], float]:
        """What `p2o.learning.metrics.weight_metrics` adds up; of a templated rollout alone."""
        if not self.rollout.distilled:
            return {}
        weights = torch.ones(()) if self.token_weights is None else self.token_weights
        reaching = torch.as_tensor(self.token_advantages)
        if self.choices is None:
            reaching = reaching.expand(len(self.sampled))
        reaching = reaching * weights
        found = {
            "all": len(reaching),
            "pull": reaching.clamp(min=0).sum().item(),
            "push": -reaching.clamp(max=0).sum().item(),
        }
        if self.in_both:
            found["scored"] = len(self.bare)
            found["reliance"] = (self.templated - self.bare).sum().item()
            found["zero"] = int((weights == 0).sum())
        return {(self.solved, name): value for name, value in found.items()}


Stream = Callable[[Scored], Tensor | float | None]
"""Makes `[T]` values at a sample's learned tokens, one for all, or None where there are none; where
`Scored.choices` are learned, `[T, C]`, or `[T]` for all choices of a place."""


def _old_log_probs(scored: Scored) -> Tensor | None:
    if scored.choices is not None:
        return scored.choices.bare
    old = scored.contexts.of_old(scored.rollout)
    return None if old is None else scored.scores.get(old)


def _sampled_log_probs(scored: Scored) -> Tensor | None:
    # Choices were not sampled, and without old log-probabilities there is nothing to compare.
    if scored.choices is not None or scored.contexts.of_old(scored.rollout) is None:
        return None
    same = scored.contexts.sampled_after_gradient(scored.rollout)
    return scored.sampled if same and scored.drawn else None


def _engine_log_ratio(scored: Scored) -> Tensor | None:
    rollout = scored.rollout
    # A rollout without a hint was sampled in both contexts.
    alike = rollout.bare_ids == rollout.templated_ids
    contexts = (rollout.sampled_after, *[Context.BARE] * alike)
    own = next((scored.scores[each] for each in contexts if each in scored.scores), None)
    return own - scored.sampled if own is not None and scored.drawn else None


def _reference_log_probs(scored: Scored) -> Tensor | None:
    # Of the token that was sampled, which is not learned where choices are.
    return scored.reference if scored.choices is None else None


def _without_contrast(scored: Scored) -> float | None:
    shaped = scored.advantage and scored.by_entropy and not scored.rollout.distilled
    return 1.0 if shaped else None


STREAMS: Mapping[str, Stream] = MappingProxyType(
    {
        "advantages": lambda scored: scored.token_advantages,
        "old_log_probs": _old_log_probs,
        "sampled_log_probs": _sampled_log_probs,
        "engine_log_ratio": _engine_log_ratio,
        "token_weights": lambda scored: scored.token_weights,
        "policy_version": lambda scored: scored.updates,
        "reference_log_probs": _reference_log_probs,
        "without_contrast": _without_contrast,
    }
)
"""What samples carry. One more entry here, or in what an `ExperienceBuilder` is given, goes all the
way to the losses and to the engine's correction, which name in `reads` what else they read."""


def _mean(values: Tensor) -> float | None:
    """Of `[T]`; None where there is no token."""
    return float(values.mean()) if len(values) else None
