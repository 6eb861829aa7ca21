"""Shared pieces: a tiny random policy, the embedded one, and a way to run `p2o-train`."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.forking import Forks
from tests.patience import HANGS

# The environment for engines goes without it.
if importlib.util.find_spec("hypothesis"):
    from hypothesis import settings

    # Speed is measured in benchmarks; tests run on busy machines.
    settings.register_profile("p2o", deadline=None)
    settings.load_profile("p2o")


# Fixtures import what they need themselves: most tests need no model, and start sooner without.
@pytest.fixture(scope="session")
def tokenizer():
    from p2o.policy.models import load_policy

    return load_policy("embedded:digits")[1]


@pytest.fixture
def embedded():
    from p2o.policy.models import load_policy

    return load_policy("embedded:digits")[0]


@pytest.fixture
def tiny_model(tokenizer):
    """A random Qwen2 with the embedded tokenizer's vocabulary."""
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    torch.manual_seed(0)
    return Qwen2ForCausalLM(
        Qwen2Config(
            vocab_size=len(tokenizer),
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=128,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
            bos_token_id=None,
        )
    )


@pytest.fixture(scope="session")
def forks():
    """Runs programs that have been imported already."""
    with Forks() as made:
        yield made


@pytest.fixture
def p2o_train(forks, tmp_path: Path):
    """Run the command line in a folder of its own; returns the finished process."""

    def run(*arguments: str, timeout: float = HANGS) -> subprocess.CompletedProcess[str]:
        return forks.run("p2o.cli.train", arguments, tmp_path, timeout=timeout)

    return run


@pytest.fixture
def p2o_train_anew(tmp_path: Path):
    """The same in an interpreter of its own: with another order of sets, and all imports."""

    def run(*arguments: str, timeout: float = HANGS) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "p2o.cli.train", *arguments],
            cwd=tmp_path,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            timeout=timeout,
        )

    return run
