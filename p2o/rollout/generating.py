"""Sampling with transformers' own ``generate``, for any model that it takes.

Every row of a batch is read by itself and stays until the last one has ended.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList

from p2o.rollout.engine import Completion, SamplingParameters
from p2o.rollout.prefill import no_router_loss, padded
from p2o.rollout.token_draws import completion, draw_tokens, uniforms
from p2o.running.counted import advance


def generate(
    model: Any,
    prompts: Sequence[Sequence[int]],
    sampling: SamplingParameters,
    seeds: Sequence[int],
    ends: Sequence[int],
    max_rows: int,
) -> list[Completion]:
    """Sample one completion for each prompt, in batches of similar length.

    Args:
        model: Of transformers.
        prompts: Token ids.
        sampling: How to draw tokens.
        seeds: Of the prompts.
        ends: Tokens that end a completion.
        max_rows: Rows in a batch.
    """
    order = sorted(range(len(prompts)), key=lambda place: (len(prompts[place]), place))
    found: dict[int, Completion] = {}
    for start in range(0, len(order), max_rows):
        places = order[start : start + max_rows]
        few, own = [prompts[place] for place in places], [seeds[place] for place in places]
        batch = _generate_batch(model, few, sampling, own, ends)
        found.update(zip(places, batch, strict=True))
        advance(len(places))
    return [found[place] for place in range(len(prompts))]


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
