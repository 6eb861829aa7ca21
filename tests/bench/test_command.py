"""`p2o-bench` from its command line: what is run, what is not run again, and what is told."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.patience import HANGS

PROGRAM = [sys.executable, "-m", "p2o.cli.bench"]


@pytest.fixture
def bench(tmp_path):
    """Run the command line in a folder of its own; returns the finished process."""

    def run(*arguments):
        return subprocess.run(
            [*PROGRAM, *arguments], cwd=tmp_path, capture_output=True, text=True, timeout=HANGS
        )

    return run


def summaries(folder: Path):
    return {
        path.parent.relative_to(folder).as_posix(): json.loads(path.read_text())
        for path in folder.glob("*/*/summary.json")
    }


@pytest.mark.slow
def test_a_slice_ends_in_tables_and_is_not_run_again(bench, tmp_path):
    """Two arms, two seeds, a tiny budget: the harness, and not who wins."""
    command = ("bench=slice", "folder=runs")
    first = bench(*command)
    assert first.returncode == 0, first.stderr
    found = summaries(tmp_path / "runs")
    assert sorted(found) == [
        *("grpo/seed0", "grpo/seed1", "random_template/seed0", "random_template/seed1")
    ]
    # Eight rollouts a step: the budget is met exactly, and by all alike.
    assert {summary["training_rollouts"] for summary in found.values()} == {48}
    assert {name: summary["config"]["seed"] for name, summary in found.items()} == {
        name: int(name[-1]) for name in found
    }
    assert [summary["config"]["evolution"] is None for _, summary in sorted(found.items())] == [
        *(True, True, False, False)
    ]
    rows = list(csv.DictReader((tmp_path / "runs" / "bench.csv").open()))
    assert [(row["arm"], row["seed"], row["rollouts"]) for row in rows] == [
        *(("grpo", "0", "48"), ("grpo", "1", "48")),
        *(("random_template", "0", "48"), ("random_template", "1", "48")),
    ]
    for row in rows:
        summary = found[f"{row['arm']}/seed{row['seed']}"]
        assert float(row["accuracy"]) == summary["accuracy"]["after"]
    text = (tmp_path / "runs" / "bench.md").read_text()
    assert "```bash\np2o-bench bench=slice folder=runs\n```" in text
    assert "| random templates |" in text
    assert (tmp_path / "runs" / "curves.svg").read_text().startswith("<?xml")
    tables = first.stdout[first.stdout.index("Held-out accuracy") :]
    assert all(len(line) <= 80 for line in tables.splitlines()[:-1])

    made = {path: path.stat().st_mtime_ns for path in (tmp_path / "runs").glob("*/*/summary.json")}
    again = bench(*command)
    assert again.returncode == 0, again.stderr
    assert "4 runs, 4 of them ended before" in again.stdout
    assert again.stdout[again.stdout.index("Held-out accuracy") :] == tables
    assert {path: path.stat().st_mtime_ns for path in made} == made
    assert (tmp_path / "runs" / "bench.md").read_text() == text

    other = bench(*command, 'overrides=["optimizer.lr=1e-3","data.batch=4"]')
    assert other.returncode == 2
    assert "runs/grpo/seed0: was made with" in other.stderr
    assert len(other.stderr.splitlines()) == 1


@pytest.mark.slow
def test_an_arm_that_fails_does_not_stop_the_others(bench, tmp_path):
    broken = "+arms.broken={sentence: No such model, overrides: ['model.path=no/such/folder']}"
    command = ("bench=slice", "arm=grpo", broken, "seeds=1", "folder=runs", "figure=null")
    first = bench(*command)
    assert first.returncode == 1, first.stderr
    assert list(summaries(tmp_path / "runs")) == ["grpo/seed0"]
    assert "broken, seed 0 did not end: error: model.path=no/such/folder" in first.stdout
    text = (tmp_path / "runs" / "bench.md").read_text()
    assert "| broken (1 failed) | - |" in text
    assert "| broken, seed 0 | error: model.path=no/such/folder" in text
    # It is tried again, and what has ended is not.
    again = bench(*command)
    assert again.returncode == 1
    assert "2 runs, 1 of them ended before" in again.stdout


@pytest.mark.slow
def test_a_bench_that_is_told_to_stop_saves_and_goes_on_where_it_was(tmp_path):
    command = [*PROGRAM, "bench=slice", "seeds=1", "jobs=1", "folder=runs", "figure=null"]
    command += ["budget.rollouts=320", "arm=grpo"]
    whole = subprocess.run(
        [*command, "folder=whole"], cwd=tmp_path, capture_output=True, text=True, timeout=HANGS
    )
    assert whole.returncode == 0, whole.stderr
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    run, until = tmp_path / "runs" / "grpo" / "seed0", time.monotonic() + HANGS
    while not list(run.glob("checkpoints/*.ckpt")) and time.monotonic() < until:
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=HANGS)
    assert process.returncode == 0
    assert not (run / "summary.json").exists()
    assert "stopped by SIGTERM" in (run / "log.txt").read_text()

    rest = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=HANGS)
    assert rest.returncode == 0, rest.stderr
    one, other = ((tmp_path / name / "bench.csv").read_text() for name in ("runs", "whole"))
    [one], [other] = (list(csv.DictReader(text.splitlines())) for text in (one, other))
    # Time has passed otherwise.
    assert {**one, "seconds": ""} == {**other, "seconds": ""}


@pytest.mark.slow
def test_templates_at_inference_are_measured_with_the_pool_of_the_search(bench, tmp_path):
    small = '["data.source.train=16","data.source.held_out=4","data.batch=8","data.mini_batch=8",'
    small += '"evolution.evolver.budget=40","evolution.evolver.dev_size=4",'
    small += '"evolution.evolver.minimum=2","data.group_size=3"]'
    done = bench(
        *("bench=slice", "arm=inference_templates", "seeds=1", "folder=runs", "figure=null"),
        *("budget.rollouts=400", f"overrides={small}"),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    run = tmp_path / "runs" / "inference_templates" / "seed0"
    measured = json.loads((run / "evaluation" / "results.json").read_text())
    [row] = list(csv.DictReader((tmp_path / "runs" / "bench.csv").open()))
    assert float(row["accuracy"]) == measured["benchmarks"]["digits"]["accuracy"]
    assert row["mean_accuracy"] == ""
    pools = sorted(run.glob("evolution/epoch_*.json"))
    assert measured["configuration"]["template"] == str(pools[-1])
    # The policy stays as it was.
    summary = json.loads((run / "summary.json").read_text())
    assert summary["accuracy"]["after"] == summary["accuracy"]["before"]


@pytest.mark.slow
def test_a_launcher_of_hydras_runs_an_arms_seeds(bench, tmp_path):
    done = bench(
        *("bench=slice", "arm=grpo", "folder=runs", "figure=null"),
        'launcher=["hydra/launcher=joblib","hydra.launcher.n_jobs=1"]',
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert sorted(summaries(tmp_path / "runs")) == ["grpo/seed0", "grpo/seed1"]
    again = bench("bench=slice", "arm=grpo", "folder=runs", "figure=null")
    assert "2 runs, 2 of them ended before" in again.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["arm=[grpo,no_such]"], "there are base"),
        (["+arms.mine={sentence: A typo, overrides: ['sed=1']}"], "arms.mine: sed: no such key"),
        (["+arms.mine={overrides: []}"], "arms.mine.sentence: it is missing"),
        (["budget.seconds=5"], "budget: rollouts=10000 and seconds=5 is given; give one of"),
        (["budget.rollouts=0"], "budget.rollouts=0: give a whole number of at least 1"),
        (["reference=p3o"], "reference=p3o: no such arm here; give null or one of grpo"),
        (["seeds=[]"], "arms or seeds: there is none"),
        (["sedes=3"], "sedes: no such key; did you mean seeds"),
    ],
)
def test_what_cannot_run_is_said_in_one_line_and_nothing_is_run(bench, tmp_path, arguments, said):
    done = bench(*arguments, "folder=runs")
    assert done.returncode == 2, done.stdout
    assert done.stderr.startswith("error: ")
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not list(tmp_path.glob("runs/*/*"))


@pytest.mark.slow
def test_help_explains_itself(bench):
    done = bench("--help")
    assert done.returncode == 0
    for words in ("An arm is a list of settings", "embedded", "inference_templates", "run=false"):
        assert words in done.stdout
    own = done.stdout[: done.stdout.index("Groups to choose from")]
    assert all(len(line) <= 100 for line in own.splitlines())


@pytest.mark.slow
def test_without_running_it_shows_what_is_there(bench, tmp_path):
    done = bench("bench=slice", "folder=runs", "run=false")
    assert done.returncode == 1
    assert "grpo, seed 0 did not end: has not been started" in done.stdout.lower()
    assert not summaries(tmp_path / "runs")
    assert os.listdir(tmp_path / "runs") != []
