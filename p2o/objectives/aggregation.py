"""From token losses to one number."""

from typing import Literal

import torch
from torch import Tensor

Aggregation = Literal[
    "token-mean", "sequence-mean-token-sum", "sequence-mean-token-mean", "constant-length"
]
"""Mean over all tokens (DAPO); mean over responses of their sum; mean over responses of their mean
(GRPO's paper); sum over all tokens by responses times a constant length (Dr. GRPO)."""


def aggregate(
    values: Tensor,
    sequences: Tensor,
    *,
    mode: Aggregation,
    total_tokens: Tensor | float,
    total_sequences: Tensor | float,
    constant_length: int | None = None,
) -> Tensor:
    """This micro-batch's share of the mean over a whole optimiser step.

    Shares add up to that mean however the step is split over micro-batches and ranks, because all
    are divided by the same totals.

    Args:
        values: `[M]`, of all learned tokens.
        sequences: `[M]`, number of the response that a token belongs to.
        mode: Which mean.
        total_tokens: Learned tokens of the whole optimiser step.
        total_sequences: Responses of the whole optimiser step that have a token.
        constant_length: Tokens that every response counts as, for ``constant-length``.

    Returns:
        A scalar.
    """
    match mode:
        case "token-mean":
            return values.sum() / total_tokens
        case "sequence-mean-token-sum":
            return values.sum() / total_sequences
        case "sequence-mean-token-mean":
            return (values / lengths_of(sequences)).sum() / total_sequences
        case "constant-length" if constant_length is not None:
            return values.sum() / (total_sequences * constant_length)
    raise ValueError(f"unknown aggregation {mode!r}, or no constant_length")


def lengths_of(sequences: Tensor) -> Tensor:
    """`[M]`, learned tokens of the response that each token belongs to."""
    return torch.bincount(sequences)[sequences]


def means_of(values: Tensor, sequences: Tensor) -> Tensor:
    """`[M]`, the mean over the response that each token belongs to."""
    return sums_of(values, sequences) / lengths_of(sequences)


def sums_of(values: Tensor, sequences: Tensor) -> Tensor:
    """`[M]`, the sum over the response that each token belongs to."""
    return torch.zeros_like(values).index_add(0, sequences, values)[sequences]
