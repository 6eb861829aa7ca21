"""Tokens drawn from logits, each row by numbers that its own seed gives."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import TopKLogitsWarper, TopPLogitsWarper

from p2o.rollout.engine import Completion, SamplingParameters


def uniforms(seeds: Sequence[int], count: int) -> Tensor:
    """Numbers from 0 to 1 that the seeds give, float64, `[N, count]`."""
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    return torch.stack([torch.rand(count, generator=g, dtype=torch.float64) for g in generators])


def draw_tokens(
    logits: Tensor, numbers: Tensor, sampling: SamplingParameters
) -> tuple[Tensor, Tensor]:
    """A token for each row by the inverse of its distribution function.

    Args:
        logits: Of the model, `[N, V]`.
        numbers: From 0 to 1, `[N]`.
        sampling: How to draw.

    Returns:
        Tokens and their log-probabilities at the temperature, before top-k and top-p, both `[N]`;
        the latter are 0 at temperature 0.
    """
    scores: Any = logits.float()
    if sampling.temperature == 0:
        return scores.argmax(-1), scores.new_zeros(len(scores))
    kept = scores = scores / float(sampling.temperature)
    # Neither of the two looks at the tokens before.
    before: Any = None
    if sampling.top_k:
        kept = TopKLogitsWarper(sampling.top_k)(before, kept)
    if sampling.top_p < 1:
        kept = TopPLogitsWarper(sampling.top_p)(before, kept)
    cumulative = kept.double().softmax(-1).cumsum(-1)
    reached = numbers[:, None] * cumulative[:, -1:]
    tokens = torch.searchsorted(cumulative, reached, right=True).clamp_max(scores.shape[-1] - 1)
    return tokens[:, 0], scores.gather(1, tokens)[:, 0] - scores.logsumexp(-1)


def completion(
    tokens: Sequence[int], log_probs: Sequence[float], ends: Sequence[int]
) -> Completion:
    """What was drawn, up to its first end token."""
    found = [place for place, token in enumerate(tokens) if token in ends]
    length = found[0] + 1 if found else len(tokens)
    return Completion(
        tuple(tokens[:length]), "stop" if found else "length", tuple(log_probs[:length])
    )
