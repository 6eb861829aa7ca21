"""The engines under test: a small random policy in each of them."""

import copy
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import (
    GenerationConfig,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)

from p2o.policy.causal import CausalPolicy
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

    def follow(self) -> None:
        """Let the engine follow the policy."""
        self.engine.update_weights(CausalPolicy(self.policy, 1.0))


def save(policy: LlamaForCausalLM, folder: Path) -> None:
    """Config and tokenizer, without weights: what a server has before the first push."""
    config = copy.deepcopy(policy.config)
    config.architectures = ["LlamaForCausalLM"]
    config.save_pretrained(folder)
    policy.generation_config.save_pretrained(folder)
    words = Tokenizer(WordLevel({f"t{n}": n for n in range(512)}, unk_token="t0"))
    PreTrainedTokenizerFast(tokenizer_object=words, unk_token="t0").save_pretrained(folder)


@contextmanager
def serving(folder: Path, *flags: str) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A vLLM server on loopback that takes weights from files; yields its address when it is up."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    command = [
        *(sys.executable, "-m", "vllm.entrypoints.openai.api_server"),
        *("--model", str(folder), "--host", "127.0.0.1", "--port", str(port)),
        *("--dtype", "float32", "--enforce-eager", "--logprobs-mode", "processed_logprobs"),
        *("--weight-transfer-config", '{"backend": "p2o_files"}', *flags),
    ]
    log = (folder / "server.log").open("wb")
    server = subprocess.Popen(
        command,
        env={**os.environ, "VLLM_SERVER_DEV_MODE": "1", "VLLM_NO_USAGE_STATS": "1"},
        stdout=log,
        stderr=log,
        # A group of its own, so that its engine ends with it.
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + 400
        while not up(url):
            assert server.poll() is None, (folder / "server.log").read_text()[-3000:]
            assert time.monotonic() < deadline, (folder / "server.log").read_text()[-3000:]
            time.sleep(1)
        yield url, server
    finally:
        # A test may have killed it, and all that it had started.
        with suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)
        server.wait()
        log.close()


def up(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health", timeout=5).is_success
    except httpx.TransportError:
        return False


def hf() -> Callable[[LlamaForCausalLM], Any]:
    return HFEngine


def vllm() -> Callable[[LlamaForCausalLM], Any]:
    from p2o.rollout.vllm import vllm_engine

    return lambda policy: vllm_engine(policy, probe_bound=0.01, options={"enforce_eager": True})


def vllm_server(url: str) -> Callable[[LlamaForCausalLM], Any]:
    from p2o.rollout.vllm_server import vllm_server_engine

    return lambda policy: vllm_server_engine(policy, [url], probe_bound=0.01)


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """The address of one server for all tests; its model's own settings are not to matter."""
    folder = tmp_path_factory.mktemp("served")
    policy = make_policy()
    policy.generation_config.update(
        do_sample=True, temperature=0.3, top_k=3, top_p=0.5, min_p=0.5, repetition_penalty=2.0
    )
    save(policy, folder)
    with serving(folder, "--load-format", "dummy") as (url, _):
        yield url


@pytest.fixture(scope="session", params=[hf, vllm, vllm_server], ids=lambda kind: kind.__name__)
def started(request):
    """One engine for all tests, as starting one takes long."""
    kind = request.param.__name__
    arguments = [request.getfixturevalue("server")] if kind == "vllm_server" else []
    make, engines = request.param(*arguments), {}

    def engine_for(policy: LlamaForCausalLM) -> Any:
        if kind == "hf":
            return make(policy)
        first = engines.setdefault("first", make(make_policy()))
        engine = type(first)(first.backend, policy, first.probe_bound)
        engine.update_weights(CausalPolicy(policy, 1.0))
        return engine

    return engine_for


@pytest.fixture
def subject(started) -> Subject:
    policy = make_policy()
    return Subject(started(policy), policy)
