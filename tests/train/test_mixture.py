"""A run on two sources, each with a verifier of its own, and an evaluation with one a benchmark."""

import csv
import json

import pytest

pytestmark = pytest.mark.slow

EXPERIMENT = """
# @package _global_
defaults:
  - override /data: mixture
  - override /verifier: two
data:
  source:
    sources:
      short: {_target_: p2o.data.sources.DigitLists, train: 8, held_out: 6, short_share: 1.0}
      long: {_target_: p2o.data.sources.DigitLists, train: 8, held_out: 10, short_share: 0.0}
  batch: 8
  mini_batch: 8
  max_prompt_tokens: 96
"""
VERIFIER = """
defaults: [by_source, numeric@verifiers.short, function@verifiers.long]
verifiers: {long: {path: "mine.py:reward"}}
"""


@pytest.fixture(autouse=True)
def _files(tmp_path):
    (tmp_path / "mine.py").write_text(
        "def reward(completion, problem):\n"
        "    assert problem.source in ('long', 'digits')\n"
        "    return 0.25\n"
    )
    for group, name, text in (("experiment", "two", EXPERIMENT), ("verifier", "two", VERIFIER)):
        (tmp_path / "conf" / group).mkdir(parents=True)
        (tmp_path / "conf" / group / f"{name}.yaml").write_text(text)


def test_each_source_is_judged_by_its_verifier_and_told_apart(p2o_train, tmp_path):
    given = ("--config-dir", "conf", "experiment=two", "evolution=none", "hydra.run.dir=run")
    done = p2o_train(*given, "trainer.max_epochs=2")
    assert done.returncode == 0, done.stderr
    rows = list(csv.DictReader((tmp_path / "run" / "metrics.csv").open()))

    def column(name: str) -> list[float]:
        return [float(row[name]) for row in rows if row[name]]

    assert len(column("reward/mean")) == 4
    assert set(column("reward/long/mean")) == {0.25}
    assert set(column("reward/long/solved")) == {0.0}
    assert max(column("reward/short/solved")) > 0.5
    assert set(column("verifier/long/failed")) == {0.0}
    # Before, and after each epoch.
    assert column("val/long/accuracy") == [0.0] * 3
    assert min(column("val/short/accuracy")) > 0.5
    assert column("val/accuracy")[0] == pytest.approx(column("val/short/accuracy")[0] * 6 / 16)
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())["accuracy_by_source"]
    assert summary["long"] == {"held_out": 10, "before": 0.0, "after": 0.0}
    assert summary["short"]["after"] == pytest.approx(column("val/short/accuracy")[-1])
    assert "of short" in done.stdout


def test_a_source_without_a_verifier_is_told_before_the_policy_is_asked(p2o_train):
    given = ("--config-dir", "conf", "experiment=two", "~verifier.verifiers.long")
    refused = p2o_train(*given)
    assert refused.returncode == 2
    [line] = refused.stderr.splitlines()
    assert line == "error: verifier.verifiers: none for source long; there are short; add it"


def test_an_evaluation_has_a_verifier_for_each_benchmark(forks, tmp_path):
    given = ("model=digits", "suite=digits", "limit=8", "max_new_tokens=24")
    mine = "+verifier.verifiers.digits={_target_: p2o.verifiers.function.Function"
    more = ["verifier=by_source", mine + ", path: 'mine.py:reward'}", "hydra.run.dir=out"]
    done = forks.run("p2o.cli.eval", [*given, "max_prompt_tokens=160", *more], tmp_path)
    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert results["benchmarks"]["digits"]["reward"] == 0.25
