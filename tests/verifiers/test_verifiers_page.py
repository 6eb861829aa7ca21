"""What docs/verifiers.md says works: its files are written as they stand there, and run."""

import csv
import re
from pathlib import Path

import pytest

from tests.pages import run_example, write_examples

PAGE = Path(__file__).parents[2] / "docs" / "verifiers.md"


SMALL = (
    *("data.source.train=12", "data.source.held_out=4", "data.batch=6", "data.mini_batch=6"),
    *("trainer.max_epochs=1", "evolution=none", "hydra.run.dir=run"),
)


@pytest.mark.slow
def test_a_function_of_yours(forks, tmp_path):
    write_examples(PAGE, tmp_path)
    [command] = re.findall(r"^p2o-train (verifier=function .*)$", PAGE.read_text(), re.MULTILINE)
    run_example(forks, command, tmp_path, *SMALL)
    rows = list(csv.DictReader((tmp_path / "run" / "metrics.csv").open()))
    # Short lists are solved, and a right response ends with its answer.
    assert max(float(row["reward/solved"] or 0) for row in rows) > 0


@pytest.mark.slow
def test_a_verifier_of_your_own(forks, tmp_path):
    text = PAGE.read_text()
    assert write_examples(PAGE, tmp_path) == 3
    [command] = re.findall(r"^p2o-train (--config-dir .*)$", text, re.MULTILINE)
    run_example(forks, command, tmp_path, *SMALL)
    rows = list(csv.DictReader((tmp_path / "run" / "metrics.csv").open()))
    rewards = [float(row["reward/mean"]) * 36 * 5 for row in rows if row["reward/mean"]]
    # 36 rollouts, paid in fifths.
    assert rewards
    assert all(abs(reward - round(reward)) < 1e-3 for reward in rewards)
    assert any(round(reward) % 5 for reward in rewards)


def test_every_verifier_has_a_row():
    rows = re.findall(r"^\| (`[a-z_`, ]+) \|", PAGE.read_text(), re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`([a-z_]+)`", row)}
    there = {path.stem for path in (PAGE.parents[1] / "conf" / "verifier").glob("*.yaml")}
    assert there <= named
