"""What docs/write-your-own.md says works: its files are written as they stand there, and run."""

import csv
import re
from pathlib import Path

import pytest

from tests.pages import run_example, write_examples

PAGE = Path(__file__).parents[2] / "docs" / "write-your-own.md"


def commands() -> list[str]:
    return re.findall(r"^p2o-train (.*)$", PAGE.read_text(), re.MULTILINE)


@pytest.mark.slow
def test_a_distillation_strategy_from_another_package(forks, tmp_path):
    text = PAGE.read_text()
    more = {
        name: f"# {name}\n{body}"
        for name, body in re.findall(r"```yaml\n# (my_conf/\S+)\n(.*?)```", text, re.DOTALL)
    }
    assert write_examples(PAGE, tmp_path, more) == 6
    [command, *_] = commands()
    small = (
        "algorithm=wide_grpo data.source.train=24 data.source.held_out=4 data.batch=12 "
        "data.mini_batch=12 trainer.max_epochs=3 evolution.evolver.budget=300 "
        "evolution.evolver.minimum=4 hydra.run.dir=run"
    )
    run_example(forks, command, tmp_path, *small.split())
    rows = list(csv.DictReader((tmp_path / "run" / "metrics.csv").open()))
    steps = {row["step"] for row in rows if float(row["groups/templated"] or 0) > 0}
    # All but four tokens of a templated response have weight 0.
    weights = [float(row["templated/weight_zero"] or 0) for row in rows if row["step"] in steps]
    assert max(weights) > 0.3


def test_the_environment_is_short():
    [example] = re.findall(r"```python\n(from itertools.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(example.splitlines()) < 40


@pytest.mark.slow
def test_an_environment_from_another_package(forks, tmp_path):
    write_examples(PAGE, tmp_path)
    [command] = [command for command in commands() if "environment=" in command]
    small = (
        "data.source.train=24 data.source.held_out=4 data.batch=12 data.mini_batch=12 "
        "trainer.max_epochs=1 evolution=none hydra.run.dir=run"
    )
    run_example(forks, command, tmp_path, *small.split())
    rows = list(csv.DictReader((tmp_path / "run" / "metrics.csv").open()))
    assert any(float(row["response/inserted_tokens"] or 0) > 0 for row in rows)


@pytest.mark.slow
def test_a_stream_from_another_package(forks, tmp_path):
    write_examples(PAGE, tmp_path)
    [command] = re.findall(
        r"^p2o-train (\S*loss.*?)\n```", PAGE.read_text(), re.DOTALL | re.MULTILINE
    )
    small = (
        "data.source.train=24 data.source.held_out=4 data.batch=12 data.mini_batch=12 "
        "trainer.max_epochs=1 evolution=none hydra.run.dir=run"
    )
    run_example(forks, command.replace("\\", ""), tmp_path, *small.split())
    rows = list(csv.DictReader((tmp_path / "run" / "metrics.csv").open()))
    # Without the stream the loss would be no number, which ends a run.
    assert any(float(row["train/grad_norm"] or 0) > 0 for row in rows)
