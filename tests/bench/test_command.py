"""`p2o-bench`: what is run, what is not run again, and what is told."""

import csv
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import open_dict

from p2o.bench.settings import BenchSettings
from p2o.cli import bench as program
from p2o.configuration.build import conf_directory
from p2o.configuration.overrides import check_overrides
from p2o.errors import UserError
from p2o.running.run_folder import one_run_in
from tests.patience import HANGS


@pytest.fixture
def bench(tmp_path, monkeypatch):
    """Run in this process what the command line would; returns what came of it."""
    monkeypatch.chdir(tmp_path)

    def run(*overrides):
        check_overrides(overrides, program.CONFIG_NAME, BenchSettings)
        with initialize_config_dir(version_base="1.3", config_dir=str(conf_directory())):
            config = compose(program.CONFIG_NAME, overrides=[*overrides], return_hydra_config=True)
        HydraConfig.instance().set_config(config)
        with open_dict(config):
            del config.hydra
        return program.bench(config)

    yield run
    GlobalHydra.instance().clear()
    HydraConfig.instance().cfg = None


def summaries(folder: Path):
    return {
        path.parent.relative_to(folder).as_posix(): json.loads(path.read_text())
        for path in sorted(folder.glob("*/*/summary.json"))
    }


@pytest.mark.slow
def test_a_slice_ends_in_tables_and_is_not_run_again(bench, tmp_path, capsys):
    """Two arms, two seeds, a tiny budget: the harness, and not who wins."""
    command = ("bench=slice", "folder=runs")
    assert bench(*command).failures == {}
    first = capsys.readouterr().out
    assert f"next: p2o-report {tmp_path}/runs/*/*/  all runs on one page" in first
    assert len([*tmp_path.glob("runs/*/*/summary.json")]) == 4
    found = summaries(tmp_path / "runs")
    assert list(found) == [
        *("grpo/seed0", "grpo/seed1", "random_template/seed0", "random_template/seed1")
    ]
    # Eight rollouts a step: the budget is met exactly, and by all alike.
    assert {summary["training_rollouts"] for summary in found.values()} == {48}
    for name, summary in found.items():
        assert summary["config"]["seed"] == int(name[-1])
        assert (summary["config"]["evolution"] is None) == name.startswith("grpo")
    rows = list(csv.DictReader((tmp_path / "runs" / "bench.csv").open()))
    assert [f"{row['arm']}/seed{row['seed']}" for row in rows] == list(found)
    for row, summary in zip(rows, found.values(), strict=True):
        assert row["rollouts"] == "48"
        assert float(row["accuracy"]) == summary["accuracy"]["after"]
    text = (tmp_path / "runs" / "bench.md").read_text()
    assert "```bash\np2o-bench bench=slice folder=runs\n```" in text
    assert "| random templates |" in text
    assert (tmp_path / "runs" / "curves.svg").read_text().startswith("<?xml")
    tables = first[first.index("Held-out accuracy") :]
    *lines, written, following = tables.splitlines()
    assert (written.split()[0], following.split()[0]) == ("written:", "next:")
    assert all(len(line) <= 80 for line in lines)

    made = {path: path.stat().st_mtime_ns for path in (tmp_path / "runs").glob("*/*/summary.json")}
    assert bench(*command).failures == {}
    again = capsys.readouterr().out
    assert "4 runs, 4 of them ended before" in again
    assert again[again.index("Held-out accuracy") :] == tables
    assert {path: path.stat().st_mtime_ns for path in made} == made
    assert (tmp_path / "runs" / "bench.md").read_text() == text

    with pytest.raises(UserError, match=r"grpo/seed0: was made with .*max_rollouts=48 where .*=56"):
        bench(*command, "budget.rollouts=56")
    assert {path: path.stat().st_mtime_ns for path in made} == made


@pytest.mark.slow
def test_an_arm_that_fails_does_not_stop_the_others(bench, tmp_path, capsys):
    broken = "+arms.broken={sentence: No such model, overrides: ['model.path=embedded:letters']}"
    command = ("bench=slice", "arm=grpo", broken, "seeds=1", "folder=runs", "figure=null")
    failures = bench(*command, "jobs=1").failures
    [why] = failures.values()
    assert list(failures) == ["broken, seed 0"]
    assert why.startswith("error: model.path=embedded:letters")
    assert list(summaries(tmp_path / "runs")) == ["grpo/seed0"]
    assert f"broken, seed 0 did not end: {why}" in capsys.readouterr().out
    text = (tmp_path / "runs" / "bench.md").read_text()
    assert "| broken (1 not ended) | - |" in text
    assert f"| broken, seed 0 | {why} |" in text


@pytest.mark.slow
def test_a_bench_that_is_told_to_stop_saves_and_goes_on_where_it_was(bench, tmp_path):
    command = ("bench=slice", "arm=grpo", "seeds=1", "figure=null", "budget.rollouts=160")
    bench(*command, "folder=whole")
    process = subprocess.Popen(
        [sys.executable, "-m", "p2o.cli.bench", *command, "folder=runs"],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
    )
    run, until = tmp_path / "runs" / "grpo" / "seed0", time.monotonic() + HANGS
    while not list(run.glob("checkpoints/*.ckpt")) and time.monotonic() < until:
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=HANGS)
    assert process.returncode == 0
    assert "stopped by SIGTERM; the same command goes on" in errors
    assert not (run / "summary.json").exists()
    assert "stopped by SIGTERM" in (run / "log.txt").read_text()

    assert bench(*command, "folder=runs").failures == {}
    rows = [
        next(csv.DictReader((tmp_path / name / "bench.csv").open())) for name in ("runs", "whole")
    ]
    # All is as if nothing had happened, but for the time.
    for row in rows:
        assert float(row.pop("seconds")) > 0
    assert rows[0] == rows[1]


@pytest.mark.slow
def test_templates_at_inference_are_measured_with_the_pool_of_the_search(bench, tmp_path):
    small = '["data.source.train=16","data.source.held_out=4","data.batch=8","data.mini_batch=8",'
    small += '"evolution=random_template","data.group_size=3"]'
    found = bench(
        *("bench=slice", "arm=inference_templates", "seeds=1", "folder=runs", "figure=null"),
        *("budget.rollouts=200", f"overrides={small}"),
    )
    assert found.failures == {}
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
def test_a_launcher_of_hydras_runs_an_arms_seeds(bench, tmp_path, capsys):
    command = ("bench=slice", "arm=grpo", "folder=runs", "figure=null")
    bench(*command, 'launcher=["hydra/launcher=joblib","hydra.launcher.n_jobs=1"]')
    assert list(summaries(tmp_path / "runs")) == ["grpo/seed0", "grpo/seed1"]
    capsys.readouterr()
    assert bench(*command).failures == {}
    assert "2 runs, 2 of them ended before" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["arm=[grpo,no_such]"], r"^arm=no_such: no such option; there are adaptive_share, "),
        (["+arms.mine={sentence: A typo, overrides: ['sed=1']}"], r"^arms\.mine.*sed: no such key"),
        (["+arms.mine={overrides: []}"], r"^arms\.mine\.sentence: it is missing"),
        (["budget.seconds=5"], r"^budget: rollouts=10000 and seconds=5 is given; give one of"),
        (["budget.rollouts=0"], r"^budget\.rollouts=0: give a whole number of at least 1"),
        (["against=p3o"], r"^against=p3o: no such arm here; give null or one of grpo"),
        (["seeds=[]"], r"^arms or seeds: there is none"),
        (["sedes=3"], r"^sedes: no such key; did you mean seeds"),
    ],
)
def test_what_cannot_run_is_said_in_one_line_and_nothing_is_run(bench, tmp_path, arguments, said):
    with pytest.raises(UserError, match=said) as refused:
        bench(*arguments, "folder=runs")
    assert "\n" not in str(refused.value)
    assert not list(tmp_path.glob("runs/*/*"))


def test_without_running_it_shows_what_is_there(bench, tmp_path, capsys):
    failures = bench("bench=slice", "folder=runs", "run=false").failures
    assert failures["GRPO, seed 1"] == "has not been started"
    shown = capsys.readouterr().out
    assert "\nnot started: GRPO, seed 0 and 3 more\n" in shown
    assert "failed" not in shown
    assert "did not end" not in shown
    # The page tells how to repeat it.
    assert "\np2o-bench bench=slice folder=runs\n" in (tmp_path / "runs" / "bench.md").read_text()
    assert not list(tmp_path.glob("runs/*/*"))


@pytest.mark.slow
def test_a_bench_in_a_folder_where_another_is_at_work_is_told_which_key_gives_one(tmp_path):
    (tmp_path / "runs").mkdir()
    command = [sys.executable, "-m", "p2o.cli.bench", "bench=slice", f"folder={tmp_path}/runs"]
    with one_run_in(tmp_path / "runs"):
        result = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert result.returncode == 2
    assert "another run is at work here" in result.stderr
    assert result.stderr.endswith("stop it first, or give another folder\n")


@pytest.mark.slow
def test_help_explains_itself():
    done = subprocess.run(
        [sys.executable, "-m", "p2o.cli.bench", "--help"],
        capture_output=True,
        text=True,
        timeout=HANGS,
    )
    assert done.returncode == 0, done.stderr
    for words in ("An arm is a list of settings", "embedded", "inference_templates", "run=false"):
        assert words in done.stdout
    own = done.stdout[: done.stdout.index("Groups to choose from")]
    assert all(len(line) <= 100 for line in own.splitlines())
