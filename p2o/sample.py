"""What is trained on: the tokens of a rollout in one context, and values at those to be learned."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Self

import torch
from torch import Tensor


@dataclass(frozen=True)
class Sample:
    """One rollout in one context.

    A token that a tool, an environment or a forced prefix put there is in `token_ids` and not in
    `loss_mask`, wherever it stands.

    Shapes: L tokens, T of them learned; with `choices` each of these stands for C.

    Attributes:
        token_ids: `[L]`, context and completion.
        loss_mask: `[L]`, true at tokens that the policy chose and that are to be learned.
        streams: `[T]` each, values at learned tokens by name, such as ``advantages``,
            ``old_log_probs``, ``sampled_log_probs``, ``token_weights``,
            ``reference_log_probs`` and ``policy_version``, the updates that the policy had behind
            it when the tokens were sampled. What reads a stream says what its absence means.
        choices: `[T, C]`, tokens that are learned at each of these places in place of the one that
            stands there; streams are `[T * C]` then, place by place. None for that one alone.

    Raises:
        ValueError: The first token is to be learned.
    """

    token_ids: tuple[int, ...]
    loss_mask: Tensor
    streams: Mapping[str, Tensor] = field(default_factory=dict)
    choices: Tensor | None = None

    def __post_init__(self) -> None:
        if self.loss_mask[:1].any():
            raise ValueError("loss_mask: the first token has none before it that could predict it")

    @classmethod
    def of(
        cls,
        context_ids: Sequence[int],
        completion_ids: Sequence[int],
        chosen: Sequence[bool] | None = None,
    ) -> Self:
        """A completion after a context.

        Args:
            context_ids: What the policy did not choose.
            completion_ids: What followed, at least one token.
            chosen: Which of the latter the policy chose; None for all.
        """
        mask = torch.zeros(len(context_ids) + len(completion_ids), dtype=torch.bool)
        mask[len(context_ids) :] = True if chosen is None else torch.tensor(chosen)
        return cls((*context_ids, *completion_ids), mask)

    @property
    def places(self) -> int:
        """T, at how many places something is learned."""
        return int(self.loss_mask.sum())

    @property
    def learned(self) -> int:
        """T, how many tokens are learned; with `choices` T * C."""
        return self.places if self.choices is None else self.choices.numel()

    def with_streams(self, **streams: Tensor | float | None) -> Self:
        """With more streams.

        Args:
            streams: A number is the value at every token, and None is no stream. With `choices`,
                `[T, C]` has a value for each, and `[T]` one for all choices of a place.

        Raises:
            ValueError: A stream has another length.
        """
        new = {
            name: self._spread(name, value) for name, value in streams.items() if value is not None
        }
        return replace(self, streams={**self.streams, **new})

    def _spread(self, name: str, value: Tensor | float) -> Tensor:
        """A value at every learned token."""
        if not isinstance(value, Tensor):
            return torch.full((self.learned,), float(value))
        if value.numel() == self.learned:
            return value.flatten()
        if self.choices is None or value.numel() != self.places:
            raise ValueError(
                f"{name}: {value.numel()} values for {self.places} places; give one for each"
            )
        return value.repeat_interleave(self.choices.shape[1])

    def keep(self, kept: Tensor) -> Self:
        """Without some of the learned tokens.

        Args:
            kept: `[T]`, boolean.

        Raises:
            ValueError: The sample has `choices`, which are learned together.
        """
        if self.choices is not None:
            raise ValueError("choices: tokens of one place are learned together")
        mask = self.loss_mask.clone()
        mask[self.loss_mask] = kept
        streams = {name: values[kept] for name, values in self.streams.items()}
        return replace(self, loss_mask=mask, streams=streams)
