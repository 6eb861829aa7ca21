"""What docs/write-your-own.md says works: its files are written as they stand there, and run."""

import csv
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "write-your-own.md"


@pytest.mark.slow
def test_a_distillation_strategy_from_another_package(tmp_path):
    text = PAGE.read_text()
    files = dict(re.findall(r"`(my_\S+)`:\n\n```\w+\n(.*?)```", text, re.DOTALL))
    files |= {
        name: f"# {name}\n{body}"
        for name, body in re.findall(r"```yaml\n# (my_conf/\S+)\n(.*?)```", text, re.DOTALL)
    }
    assert len(files) == 3
    for name, body in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(body)
    [command, *_] = re.findall(r"^p2o-train (.*)$", text, re.MULTILINE)
    small = (
        "algorithm=wide_grpo data.source.train=24 data.source.held_out=4 data.batch=12 "
        "data.mini_batch=12 trainer.max_epochs=3 evolution.evolver.budget=300 "
        "evolution.evolver.minimum=4 hydra.run.dir=run"
    )
    result = subprocess.run(
        [sys.executable, "-m", "p2o.train", *command.split(), *small.split()],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, result.stderr
    rows = list(csv.DictReader((tmp_path / "run" / "metrics.csv").open()))
    steps = {row["step"] for row in rows if float(row["groups/templated"] or 0) > 0}
    # All but four tokens of a templated response have weight 0.
    weights = [float(row["train/weight_zero"] or 0) for row in rows if row["step"] in steps]
    assert max(weights) > 0.3
