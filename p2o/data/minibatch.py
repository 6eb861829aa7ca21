"""Rows of experience and the mini-batch they are collated into.

Shapes: N rows, L tokens in a row, T the longest response.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass
class Row:
    """One response as the gradient sees it.

    Attributes:
        context_ids: The prompt in front of the response, bare or templated.
        response_ids: The sampled tokens.
        advantage: Of the response, the same for each token; or `[T]`.
        old_log_probs: `[T]` under the policy before the update; None for a ratio of one: when the
            update is the first since sampling, the training forward pass gives the same numbers.
        token_weights: `[T]` factors on the loss of each token; None for ones.
        reference_log_probs: `[T]` under the reference policy; None where there is none, or where
            the response was sampled after another context: such tokens estimate no divergence.
        counts: `[T]`, whether a token is part of the loss; None for all.
    """

    context_ids: tuple[int, ...]
    response_ids: tuple[int, ...]
    advantage: float | Tensor
    old_log_probs: Tensor | None = None
    token_weights: Tensor | None = None
    reference_log_probs: Tensor | None = None
    counts: Tensor | None = None

    @property
    def has_policy_gradient(self) -> bool:
        """Whether the policy loss has a gradient at any of its tokens."""
        weights = 1.0 if self.token_weights is None else self.token_weights
        return bool((torch.as_tensor(self.advantage) * weights).any())


@dataclass
class MiniBatch:
    """What one `training_step` gets.

    Attributes:
        input_ids: `[N, L]` context, response, right padding.
        prompt_lengths: `[N]`.
        response_lengths: `[N]`.
        advantages: `[N, T]`.
        old_log_probs: `[N, T]`, meaningful in rows where `has_old`.
        has_old: `[N]`.
        token_weights: `[N, T]`.
        reference_log_probs: `[N, T]`, meaningful in rows where `has_reference`.
        has_reference: `[N]`; None when there is no reference policy at all.
        mask: `[N, T]`, true at tokens that are part of the loss.
        total_tokens: Such tokens of the whole optimiser step: all micro-batches, all ranks, rows
            left out for want of a gradient included.
        total_sequences: Responses, counted likewise.
    """

    input_ids: Tensor
    prompt_lengths: Tensor
    response_lengths: Tensor
    advantages: Tensor
    old_log_probs: Tensor
    has_old: Tensor
    token_weights: Tensor
    reference_log_probs: Tensor
    has_reference: Tensor | None
    mask: Tensor
    total_tokens: int
    total_sequences: int

    @property
    def tokens(self) -> int:
        """Tokens that go through the network."""
        return int((self.prompt_lengths + self.response_lengths).sum())


def pad_sequences(sequences: Sequence[Sequence[int]]) -> Tensor:
    """`[N, L]` token ids, padded on the right with 0; lengths, not ids, tell padding apart."""
    return torch.nn.utils.rnn.pad_sequence([torch.tensor(s) for s in sequences], batch_first=True)


def collate(
    rows: Sequence[Row], total_tokens: int, total_sequences: int, with_reference: bool = False
) -> MiniBatch:
    """Put rows into one mini-batch.

    Args:
        rows: At least one.
        total_tokens: Of the whole optimiser step, see `MiniBatch`.
        total_sequences: Likewise.
        with_reference: Whether there is a reference policy, be it that no row here has its
            log-probabilities.
    """
    lengths = torch.tensor([len(row.response_ids) for row in rows])
    shape = len(rows), int(lengths.max())

    def padded(values: Sequence[Tensor | float | None], default: float) -> Tensor:
        filled = torch.full(shape, default)
        for row, length, value in zip(filled, lengths.tolist(), values, strict=True):
            if value is not None:
                row[:length] = torch.as_tensor(value)
        return filled

    has_reference = torch.tensor([row.reference_log_probs is not None for row in rows])
    return MiniBatch(
        input_ids=pad_sequences([row.context_ids + row.response_ids for row in rows]),
        prompt_lengths=torch.tensor([len(row.context_ids) for row in rows]),
        response_lengths=lengths,
        advantages=padded([row.advantage for row in rows], 0.0),
        old_log_probs=padded([row.old_log_probs for row in rows], 0.0),
        has_old=torch.tensor([row.old_log_probs is not None for row in rows]),
        token_weights=padded([row.token_weights for row in rows], 1.0),
        reference_log_probs=padded([row.reference_log_probs for row in rows], 0.0),
        has_reference=has_reference if with_reference else None,
        mask=padded([1.0 if row.counts is None else row.counts for row in rows], 0.0).bool(),
        total_tokens=total_tokens,
        total_sequences=total_sequences,
    )
