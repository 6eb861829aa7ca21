"""From token losses to one number."""

from typing import Literal

from torch import Tensor

Aggregation = Literal[
    "token-mean", "sequence-mean-token-sum", "sequence-mean-token-mean", "constant-length"
]
"""Mean over all tokens (DAPO); mean over responses of their sum; mean over responses of their mean
(GRPO's paper); sum over all tokens by responses times a constant length (Dr. GRPO)."""


def aggregate(
    values: Tensor,
    mask: Tensor,
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
        values: `[B, T]`; what stands outside the mask does not matter, even if it is not finite.
        mask: `[B, T]`, true or 1 at response tokens.
        mode: Which mean.
        total_tokens: Response tokens of the whole optimiser step.
        total_sequences: Responses of the whole optimiser step that have a token.
        constant_length: Tokens that every response counts as, for ``constant-length``.

    Returns:
        A scalar.
    """
    mask = mask.bool()
    values = values.masked_fill(~mask, 0.0)
    match mode:
        case "token-mean":
            return values.sum() / total_tokens
        case "sequence-mean-token-sum":
            return values.sum() / total_sequences
        case "sequence-mean-token-mean":
            lengths = mask.sum(dim=1).clamp(min=1)
            return (values.sum(dim=1) / lengths).sum() / total_sequences
        case "constant-length" if constant_length is not None:
            return values.sum() / (total_sequences * constant_length)
    raise ValueError(f"unknown aggregation {mode!r}, or no constant_length")
