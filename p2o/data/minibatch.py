"""Rows of experience and the mini-batch they are collated into.

Shapes: N rows, L tokens in a row, T the longest response.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass
class Row:
    """One response as the gradient sees it.

    Attributes:
        context_ids: The prompt in front of the response, bare or templated.
        response_ids: The sampled tokens.
        advantage: Of the response, the same for each token.
        old_log_probs: `[T]` under the policy before the update; None when the update is the first
            since sampling, so that the training forward pass gives the same numbers.
        token_weights: `[T]` factors on the loss of each token; None for ones.
    """

    context_ids: tuple[int, ...]
    response_ids: tuple[int, ...]
    advantage: float
    old_log_probs: Tensor | None = None
    token_weights: Tensor | None = None


@dataclass
class MiniBatch:
    """What one `training_step` gets.

    Attributes:
        input_ids: `[N, L]` context, response, right padding.
        prompt_lengths: `[N]`.
        response_lengths: `[N]`.
        advantages: `[N]`.
        old_log_probs: `[N, T]`, meaningful in rows where `has_old`.
        has_old: `[N]`.
        token_weights: `[N, T]`.
        total_tokens: Response tokens of the whole optimiser step: all micro-batches, all ranks,
            rows left out for their zero advantage included.
        total_sequences: Responses, counted likewise.
        metrics: Numbers to log with this step.
    """

    input_ids: Tensor
    prompt_lengths: Tensor
    response_lengths: Tensor
    advantages: Tensor
    old_log_probs: Tensor
    has_old: Tensor
    token_weights: Tensor
    total_tokens: int
    total_sequences: int
    metrics: dict[str, float] = field(default_factory=dict)

    @property
    def tokens(self) -> int:
        """Tokens that go through the network."""
        return int((self.prompt_lengths + self.response_lengths).sum())


def pad_sequences(sequences: Sequence[Sequence[int]]) -> Tensor:
    """`[N, L]` token ids, padded on the right with 0; lengths, not ids, tell padding apart."""
    return torch.nn.utils.rnn.pad_sequence([torch.tensor(s) for s in sequences], batch_first=True)


def collate(rows: Sequence[Row], total_tokens: int, total_sequences: int) -> MiniBatch:
    """Put rows into one mini-batch."""
    lengths = torch.tensor([len(row.response_ids) for row in rows])
    old_log_probs = torch.zeros(len(rows), int(lengths.max()))
    token_weights = torch.ones_like(old_log_probs)
    for index, row in enumerate(rows):
        if row.old_log_probs is not None:
            old_log_probs[index, : lengths[index]] = row.old_log_probs
        if row.token_weights is not None:
            token_weights[index, : lengths[index]] = row.token_weights
    return MiniBatch(
        input_ids=pad_sequences([row.context_ids + row.response_ids for row in rows]),
        prompt_lengths=torch.tensor([len(row.context_ids) for row in rows]),
        response_lengths=lengths,
        advantages=torch.tensor([row.advantage for row in rows]),
        old_log_probs=old_log_probs,
        has_old=torch.tensor([row.old_log_probs is not None for row in rows]),
        token_weights=token_weights,
        total_tokens=total_tokens,
        total_sequences=total_sequences,
    )
