"""Sampling with transformers' own ``generate``, for any model that it takes.

Every row of a batch is read by itself and stays until the last one has ended.
"""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch
from torch import Tensor
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList

from p2o.policy.rotary import forget_longest, steady_length
from p2o.rollout.engine import Completion, SamplingParameters
from p2o.rollout.prefill import no_router_loss, padded
from p2o.rollout.token_draws import completion, draw_tokens, uniforms
from p2o.running.counted import advance

logger = logging.getLogger(__name__)


def generate(
    model: Any,
    prompts: Sequence[Sequence[int]],
    sampling: SamplingParameters,
    seeds: Sequence[int],
    ends: Sequence[int],
    max_rows: int,
) -> list[Completion]:
    """Sample one completion for each prompt, in batches of similar length.

    A row that may grow to where it changes the rotary frequencies of its batch is sampled alone.

    Args:
        model: Of transformers.
        prompts: Token ids.
        sampling: How to draw tokens.
        seeds: Of the prompts.
        ends: Tokens that end a completion.
        max_rows: Rows in a batch.
    """
    found: dict[int, Completion] = {}
    lengths = [len(prompt) + sampling.max_new_tokens for prompt in prompts]
    for places in _batches(lengths, max_rows, steady_length(model)):
        few, own = [prompts[place] for place in places], [seeds[place] for place in places]
        batch = _generate_batch(model, few, sampling, own, ends)
        found.update(zip(places, batch, strict=True))
        advance(len(places))
    return [found[place] for place in range(len(prompts))]


def _batches(lengths: Sequence[int], max_rows: int, alone_above: int | None) -> Iterator[list[int]]:
    """Places of rows in batches of similar length.

    Args:
        lengths: The most tokens of each row.
        max_rows: Rows in a batch.
        alone_above: A longer row has a batch of its own; None where all may share one.
    """
    order = sorted(range(len(lengths)), key=lambda place: (lengths[place], place))
    sharing = [place for place in order if alone_above is None or lengths[place] <= alone_above]
    for start in range(0, len(sharing), max_rows):
        yield sharing[start : start + max_rows]
    if len(sharing) < len(order):
        _tell_once(alone_above)
    yield from ([place] for place in order[len(sharing) :])


@cache
def _tell_once(longest: int | None) -> None:
    logger.warning(
        "rollouts that may have more than %d tokens with their prompts, which would change how "
        "others in their batch are read, are sampled one by one",
        longest,
    )


@torch.no_grad()
def _generate_batch(
    model: Any,
    prompts: Sequence[Sequence[int]],
    sampling: SamplingParameters,
    seeds: Sequence[int],
    ends: Sequence[int],
) -> list[Completion]:
    ids, mask = padded(prompts, model.device)
    draw = _Draw(sampling, uniforms(seeds, sampling.max_new_tokens).to(model.device))
    settings = GenerationConfig(
        max_new_tokens=sampling.max_new_tokens,
        do_sample=False,
        eos_token_id=list(ends),
        pad_token_id=ends[0],
    )
    forget_longest(model)
    with _no_generation_config(model):
        output = model.generate(
            ids,
            attention_mask=mask,
            generation_config=settings,
            logits_processor=LogitsProcessorList([draw]),
            **no_router_loss(model),
        )[:, ids.shape[1] :]
    log_probs = torch.stack(draw.log_probs, dim=1)[:, : output.shape[1]]
    return [
        completion(tokens, row, ends)
        for tokens, row in zip(output.tolist(), log_probs.tolist(), strict=True)
    ]


class _Draw(LogitsProcessor):
    """Leaves the drawn token of each row as the arg max, and keeps its log-probability."""

    def __init__(self, sampling: SamplingParameters, numbers: Tensor) -> None:
        self.sampling, self.numbers = sampling, numbers
        self.log_probs: list[Tensor] = []

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        numbers = self.numbers[:, len(self.log_probs)]
        tokens, log_probs = draw_tokens(scores, numbers, self.sampling)
        self.log_probs.append(log_probs)
        return torch.full_like(scores, -torch.inf).scatter(1, tokens[:, None], 0.0)


@contextmanager
def _no_generation_config(model: Any) -> Iterator[None]:
    """Take a model's generation config away, which fills in whatever else is left open.

    Most of its fields bend the distribution, and log-probabilities would be off.
    """
    own, model.generation_config = model.generation_config, GenerationConfig()
    try:
        yield
    finally:
        model.generation_config = own
