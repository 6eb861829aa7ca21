"""A sweep ends in tables: what each folder of a job stands for, and means over seeds."""

import json

import pytest
import yaml
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode

from p2o.configuration.build import CONFIG_NAME, conf_directory
from p2o.report.sweep import SweepTables, arm_table, job_table, sweep_runs

ENDS = {("no_crm", 0): 0.5, ("no_crm", 1): 0.7, ("tapered", 0): 0.9, ("tapered", 1): None}
"""Accuracy by distillation and seed; None for a job that was broken off."""


@pytest.fixture
def sweep(tmp_path):
    """A folder with four jobs, the last of which has no summary."""
    for (arm, seed), accuracy in ENDS.items():
        run = tmp_path / f"distillation={arm},seed={seed}"
        (run / ".hydra").mkdir(parents=True)
        told = [f"distillation={arm}", f"seed={seed}", "trainer.max_epochs=2", "resume=auto"]
        (run / ".hydra" / "overrides.yaml").write_text(yaml.safe_dump(told))
        (run / ".hydra" / "config.yaml").write_text(yaml.safe_dump({"seed": seed}))
        if accuracy is not None:
            summary = {
                "accuracy": {"before": 0.1, "after": accuracy},
                "training_rollouts": 96,
                "config": {"seed": seed},
            }
            (run / "summary.json").write_text(json.dumps(summary))
    (tmp_path / "not-a-job").mkdir()
    return tmp_path


def test_a_job_is_told_by_its_folder_and_by_what_it_alone_was_told(sweep):
    rows = job_table(sweep_runs(sweep)).rows
    assert [row[:4] for row in rows] == [
        [number, f"distillation={arm},seed={seed}", f"distillation={arm}, seed={seed}", end]
        for number, ((arm, seed), end) in enumerate(
            zip(ENDS, (50.0, 70.0, 90.0, None), strict=True)
        )
    ]
    assert [row[-1] for row in rows] == ["finished", "finished", "finished", "not ended"]


def test_seeds_of_an_arm_are_one_row(sweep):
    assert [row[:4] for row in arm_table(sweep_runs(sweep)).rows] == [
        ["distillation=no_crm", 2, 60.0, 14.1],
        ["distillation=tapered", 1, 90.0, None],
    ]


@pytest.fixture
def composed(monkeypatch):
    """Makes the configuration of a sweep that Hydra is at."""

    def compose_sweep(folder, mode=RunMode.MULTIRUN):
        with initialize_config_dir(version_base="1.3", config_dir=str(conf_directory())):
            told = [f"hydra.sweep.dir={folder}", f"hydra.mode={mode.name}"]
            config = compose(CONFIG_NAME, overrides=told, return_hydra_config=True)
        monkeypatch.setattr(HydraConfig.instance(), "cfg", config)
        return config

    return compose_sweep


def test_both_are_shown_and_kept_at_the_end(sweep, composed, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    SweepTables().on_multirun_end(composed(sweep))
    shown, kept = capsys.readouterr().out, (sweep / "sweep.md").read_text()
    for text in (shown, kept):
        assert "distillation=tapered,seed=1" in text
        assert "14.1" in text
    assert len((sweep / "sweep.csv").read_text().splitlines()) == 5


def test_they_are_kept_before_each_job_since_a_sweep_may_be_killed(sweep, composed, capsys):
    SweepTables().on_job_start(composed(sweep, RunMode.RUN))
    assert not (sweep / "sweep.md").exists()
    SweepTables().on_job_start(composed(sweep))
    assert "distillation=tapered,seed=0" in (sweep / "sweep.md").read_text()
    assert len((sweep / "sweep.csv").read_text().splitlines()) == 5
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("moment", ["on_job_start", "on_multirun_end"])
def test_a_sweep_without_a_job_says_nothing(tmp_path, composed, capsys, moment):
    getattr(SweepTables(), moment)(composed(tmp_path))
    assert capsys.readouterr().out == ""
    assert not list(tmp_path.iterdir())


def test_a_narrow_terminal_has_each_job_in_a_line(sweep, composed, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    SweepTables().on_multirun_end(composed(sweep))
    lines = capsys.readouterr().out.splitlines()
    assert all(len(line) <= 80 for line in lines if str(sweep) not in line)
    [line] = [line for line in lines if "no_crm, seed=1" in line]
    assert [cell.strip() for cell in line.strip("│").split("│")][:2] == [
        *("distillation=no_crm, seed=1", "70"),
    ]
    assert f"next: p2o-report {sweep}/*/" in lines
