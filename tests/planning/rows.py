"""Rows of tokens as the policy takes them."""

from torch import Tensor

from p2o.policy.packing import Packed, Packer
from p2o.sample import Sample


def packed(ids: Tensor, prompt_lengths: Tensor, response_lengths: Tensor) -> Packed:
    """One pass of rows that share nothing.

    Args:
        ids: `[B, L]`.
        prompt_lengths: `[B]`.
        response_lengths: `[B]`, which end the rows.
    """
    samples = [
        Sample.of(row[:prompt].tolist(), row[prompt : prompt + response].tolist())
        for row, prompt, response in zip(
            ids, prompt_lengths.tolist(), response_lengths.tolist(), strict=True
        )
    ]
    [(rows, _)] = Packer(pass_tokens=ids.numel()).pack(samples)
    return rows
