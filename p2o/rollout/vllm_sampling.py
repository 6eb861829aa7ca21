"""What a request to vLLM says of sampling."""

from collections.abc import Sequence
from typing import Any

from p2o.rollout.engine import SamplingParameters


def sampling_fields(sampling: SamplingParameters, seed: int, ends: Sequence[int]) -> dict[str, Any]:
    """Fields of ``vllm.SamplingParams``, under the names that a server's requests have too.

    A server takes what a request leaves open from the model's generation config. So every field
    that can be set there is named, the one that does nothing included; ``max_new_tokens`` alone
    cannot be undone by a request.

    Args:
        sampling: How to draw tokens.
        seed: Of the draws.
        ends: The model's tokens that end a completion; those of `sampling` do so too.
    """
    return {
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_k": sampling.top_k or -1,
        "min_p": 0.0,
        "repetition_penalty": 1.0,
        "presence_penalty": 0.0,
        "frequency_penalty": 0.0,
        "min_tokens": 0,
        "max_tokens": sampling.max_new_tokens,
        "seed": seed,
        "stop_token_ids": [*ends, *sampling.stop_token_ids],
        "logprobs": 0,
    }
