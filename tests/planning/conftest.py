"""Small real models, and a count of the bytes that torch has in use."""

import weakref
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from p2o.learning.sizes import BatchSizes
from p2o.planning import Batch, Engine, Schedule, Setup, TrainingSetup
from p2o.planning.devices import DEVICES
from p2o.planning.shape import shape_of

FAMILIES = {
    "llama": (LlamaConfig, LlamaForCausalLM),
    "qwen2": (Qwen2Config, Qwen2ForCausalLM),
    "qwen3": (Qwen3Config, Qwen3ForCausalLM),
}


class InUse(TorchDispatchMode):
    """Bytes of tensors that operations inside it have made and that are still there.

    Args:
        given: Tensors that do not count.
    """

    def __init__(self, given: Sequence[torch.Tensor] = ()) -> None:
        super().__init__()
        self.bytes = self.peak = 0
        self.storages = {tensor.untyped_storage()._cdata: 0 for tensor in given}

    def __torch_dispatch__(self, operation, types, arguments=(), options=None) -> Any:  # type: ignore[override]
        result = operation(*arguments, **(options or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, torch.Tensor):
                self._count(tensor.untyped_storage())
        self.peak = max(self.peak, self.bytes)
        return result

    def _count(self, storage: Any) -> None:
        if storage._cdata not in self.storages:
            self.storages[storage._cdata] = storage.nbytes()
            self.bytes += storage.nbytes()
            weakref.finalize(storage, self._free, storage._cdata)

    def _free(self, key: int) -> None:
        self.bytes -= self.storages.pop(key)


@pytest.fixture
def in_use():
    return InUse


@pytest.fixture
def small_model():
    """Makes a random model whose every width is another number."""

    def make(family: str = "qwen2", layers: int = 2, dtype=torch.float32, **options: Any) -> Any:
        torch.manual_seed(0)
        make_config, make_model = FAMILIES[family]
        config: dict[str, Any] = {
            "vocab_size": 128,
            "hidden_size": 64,
            "intermediate_size": 160,
            "num_hidden_layers": layers,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "head_dim": 24,
            "max_position_embeddings": 512,
            **options,
        }
        return make_model(make_config(**config)).to(dtype)

    return make


@pytest.fixture
def setup_of():
    """A run that trains `model` in float32 on one laptop; one row of 32 tokens a micro-batch."""

    def make(model: Any, **training: Any) -> Setup:
        shape = shape_of(model)
        settings = {"trained": shape.parameters, "trained_bytes": 4.0, **training}
        return Setup(
            shape,
            TrainingSetup(**settings),
            Batch(BatchSizes(2, 4, 2, 4), 16, 16, 16.0, 16.0),
            Engine(),
            Schedule(prompts=8),
            DEVICES["laptop"],
        )

    return make
