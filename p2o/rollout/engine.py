"""What a rollout engine is: token ids in, token ids out."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import compress
from typing import TYPE_CHECKING, Literal, Protocol, Self

from p2o.constraints import Count, SomeShare, Temperature, Whole
from p2o.errors import UserError

if TYPE_CHECKING:
    # How tokens are drawn is looked at before torch is imported.
    from p2o.policy.causal import CausalPolicy

LEAST_TEMPERATURE = 0.01
"""Of training; engines take what is below as this, or draw the most probable token."""


@dataclass(frozen=True)
class SamplingParameters:
    """How to draw tokens.

    Attributes:
        temperature: Divides the logits; 0 takes the most probable token.
        top_p: Keep the smallest set of tokens with this much probability; 1 keeps all.
        top_k: Keep this many tokens; 0 keeps all.
        max_new_tokens: Length limit of a completion, the end token included.
        stop_token_ids: Tokens that end a completion like the model's own end tokens.
    """

    temperature: Temperature = 1.0
    top_p: SomeShare = 1.0
    top_k: Whole = 0
    max_new_tokens: Count = 256
    stop_token_ids: tuple[Whole, ...] = ()

    def __post_init__(self) -> None:
        """A configuration gives a list."""
        object.__setattr__(self, "stop_token_ids", tuple(self.stop_token_ids))

    @property
    def whole(self) -> bool:
        """Whether any token can be drawn, with the policy's own probability at the temperature."""
        return self.temperature > 0 and self.top_p >= 1 and not self.top_k


@dataclass(frozen=True)
class Completion:
    """What follows one prompt: what the engine sampled, and what an environment put between.

    Attributes:
        token_ids: The tokens, the one that ended them included when there is one.
        finish_reason: ``stop`` after an end token or a stop token, ``length`` at the limit. A
            rollout of several turns has ``length`` where it was cut off, and ``stop`` where its
            environment ended it, also at a limit of its own.
        log_probs: The engine's own log-probability of each token at the sampling temperature,
            before top-p and top-k (vLLM: after them); 0 throughout for temperature 0, and where
            the policy did not choose the token; not a number where it is trained on one that it
            did not choose.
        loss_mask: Whether the policy chose each token, or is trained on it as if it had; None where
            that is so of all of them.
    """

    token_ids: tuple[int, ...]
    finish_reason: Literal["stop", "length"]
    log_probs: tuple[float, ...]
    loss_mask: tuple[bool, ...] | None = None

    @property
    def sampled_ids(self) -> tuple[int, ...]:
        """The tokens that the policy chose."""
        if self.loss_mask is None:
            return self.token_ids
        return tuple(compress(self.token_ids, self.loss_mask))


class RolloutEngine(Protocol):
    """Samples completions."""

    def generate(
        self,
        prompts: Sequence[Sequence[int]],
        sampling: SamplingParameters,
        seeds: Sequence[int],
    ) -> list[Completion]:
        """Sample one completion for each prompt, in order.

        Each prompt has a seed of its own, so that what it gets does not depend on the prompts
        around it, nor on how many ranks share the work. Types of 16 bits round a row otherwise in
        another batch. Nor does it depend on `max_new_tokens`: a smaller limit gives the beginning
        of what a larger one does, so prompts with different limits can share a call.
        """
        ...

    def update_weights(self, policy: "CausalPolicy") -> None:
        """Take the weights of `policy`; called before the first generation after an update."""
        ...

    def frozen_copy(self) -> Self:
        """An engine with the weights of this moment, which never change."""
        ...

    def release(self) -> None:
        """Make room for training; called when a batch has been sampled."""
        ...


def check_lengths(
    prompts: Sequence[Sequence[int]], sampling: SamplingParameters, limit: int | None
) -> None:
    """Refuse prompts that leave no room; there is room for any where there is no limit.

    Raises:
        UserError: Names the length and what would do.
    """
    longest = max(map(len, prompts), default=0)
    if limit is not None and longest + sampling.max_new_tokens > limit:
        raise UserError(
            f"a prompt of {longest} tokens and {sampling.max_new_tokens} new ones do not fit into "
            f"the engine's {limit}; lower max_prompt_tokens or max_new_tokens, or raise "
            "the engine's max_length where that is what limits it"
        )


def check_training_sampling(sampling: SamplingParameters) -> None:
    """Refuse to train on what was not drawn from the whole distribution.

    The loss, its ratios and the context ratios take a token's probability among all tokens.

    Raises:
        UserError: Names the setting and what would do.
    """
    if sampling.temperature < LEAST_TEMPERATURE:
        raise UserError(
            f"temperature={sampling.temperature}: responses to one prompt have to differ, or "
            f"nothing is learnt from them; give at least {LEAST_TEMPERATURE}"
        )
    for name, value, off in (("top_p", sampling.top_p, 1), ("top_k", sampling.top_k, 0)):
        if value != off:
            raise UserError(
                f"{name}={value}: training takes the probabilities of all tokens, so responses "
                f"must be drawn from all; leave it at {off} (evaluations and searches may have "
                "another)"
            )
