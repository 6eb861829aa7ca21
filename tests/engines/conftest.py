"""The engines under test: a small random policy in each of them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM

from p2o.rollout.hf import HFEngine


def make_policy(seed: int = 0) -> LlamaForCausalLM:
    """A Llama with heads as wide as vLLM's kernels want them, and two end tokens."""
    torch.manual_seed(seed)
    ends = {"eos_token_id": [2, 3], "bos_token_id": 1, "pad_token_id": 0}
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=512,
            hidden_size=128,
            intermediate_size=256,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            head_dim=32,
            max_position_embeddings=96,
            tie_word_embeddings=True,
            initializer_range=0.2,
            **ends,
        )
    )
    model.generation_config = GenerationConfig(**ends)
    return model.eval()


@dataclass
class Subject:
    """An engine that follows a policy, and another policy of the same shape.

    Attributes:
        engine: The engine.
        policy: Whose weights it has.
        other: A different policy.
    """

    engine: Any
    policy: LlamaForCausalLM = field(default_factory=make_policy)
    other: LlamaForCausalLM = field(default_factory=lambda: make_policy(seed=1))


def hf() -> Callable[[LlamaForCausalLM], Any]:
    return HFEngine


def vllm() -> Callable[[LlamaForCausalLM], Any]:
    from p2o.rollout.vllm import vllm_engine

    return lambda policy: vllm_engine(policy, probe_bound=0.01, options={"enforce_eager": True})


@pytest.fixture(scope="session", params=[hf, vllm], ids=lambda kind: kind.__name__)
def started(request):
    """One engine for all tests, as starting one takes long."""
    make, engines = request.param(), {}

    def engine_for(policy: LlamaForCausalLM) -> Any:
        if request.param is hf:
            return make(policy)
        first = engines.setdefault("first", make(make_policy()))
        engine = type(first)(first.backend, policy, first.probe_bound)
        engine.update_weights(policy)
        return engine

    return engine_for


@pytest.fixture
def subject(started) -> Subject:
    policy = make_policy()
    return Subject(started(policy), policy)
