"""What docs/write-your-own.md says works: its files are written as they stand there, and run."""

import csv
import re
from pathlib import Path

import pytest

from tests.pages import run_example, write_examples

PAGE = Path(__file__).parents[2] / "docs" / "write-your-own.md"


@pytest.mark.slow
def test_a_distillation_strategy_from_another_package(tmp_path):
    text = PAGE.read_text()
    more = {
        name: f"# {name}\n{body}"
        for name, body in re.findall(r"```yaml\n# (my_conf/\S+)\n(.*?)```", text, re.DOTALL)
    }
    assert write_examples(PAGE, tmp_path, more) == 3
    [command, *_] = re.findall(r"^p2o-train (.*)$", text, re.MULTILINE)
    small = (
        "algorithm=wide_grpo data.source.train=24 data.source.held_out=4 data.batch=12 "
        "data.mini_batch=12 trainer.max_epochs=3 evolution.evolver.budget=300 "
        "evolution.evolver.minimum=4 hydra.run.dir=run"
    )
    run_example(command, tmp_path, *small.split())
    rows = list(csv.DictReader((tmp_path / "run" / "metrics.csv").open()))
    steps = {row["step"] for row in rows if float(row["groups/templated"] or 0) > 0}
    # All but four tokens of a templated response have weight 0.
    weights = [float(row["templated/weight_zero"] or 0) for row in rows if row["step"] in steps]
    assert max(weights) > 0.3
