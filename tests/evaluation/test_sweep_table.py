"""What the tables of a sweep of evaluations tell of its jobs."""

import json

import pytest
import yaml
from hydra.core.hydra_config import HydraConfig

from p2o.configuration.overrides import compose_config
from p2o.evaluation.sweep_jobs import accuracies, means_over_seeds, read_jobs
from p2o.evaluation.sweep_table import EvaluationTable


def job(folder, told, **found):
    (folder / ".hydra").mkdir(parents=True)
    (folder / ".hydra" / "overrides.yaml").write_text(yaml.safe_dump(told))
    if found:
        benchmarks = {name: {"accuracy": value} for name, value in found.items()}
        (folder / "results.json").write_text(json.dumps({"benchmarks": benchmarks}))


@pytest.fixture
def ended(tmp_path, monkeypatch, capsys):
    """What is shown at the end of a sweep in the test's folder."""

    def ended():
        config = compose_config([f"hydra.sweep.dir={tmp_path}", "hydra.mode=MULTIRUN"], "eval")
        monkeypatch.setattr(HydraConfig.instance(), "cfg", config)
        EvaluationTable().on_multirun_end(config)
        return capsys.readouterr().out

    return ended


def test_each_job_has_what_it_alone_was_told_and_what_came_of_it(tmp_path):
    job(tmp_path / "b", ["limit=5", "seed=1"], digits=0.25, svamp=0.5)
    job(tmp_path / "a", ["limit=5", "seed=0"], digits=1 / 3)
    job(tmp_path / "c", ["limit=5", "seed=2"])
    columns, rows = accuracies(read_jobs(tmp_path))
    assert columns == ["folder", "settings", "digits", "svamp"]
    assert rows == [
        ["a", "seed=0", "33.3", ""],
        ["b", "seed=1", "25.0", "50.0"],
        ["c", "seed=2", "", ""],
    ]
    assert read_jobs(tmp_path / "nowhere") == []


def test_jobs_that_differ_in_their_seed_alone_have_means(tmp_path):
    job(tmp_path / "a", ["limit=3", "seed=0", "chunk=4"], digits=0.25, svamp=0.5)
    job(tmp_path / "b", ["limit=3", "seed=1", "chunk=4"], digits=1 / 3)
    job(tmp_path / "c", ["limit=5", "seed=0", "chunk=4"], digits=1.0)
    job(tmp_path / "d", ["limit=5", "seed=1", "chunk=4"])
    columns, rows = means_over_seeds(read_jobs(tmp_path))
    assert columns == ["settings", "benchmark", "seeds", "accuracy, %", "standard deviation"]
    assert rows == [
        ["limit=3", "digits", "2", "29.2", "5.9"],
        ["limit=3", "svamp", "1", "50.0", ""],
        ["limit=5", "digits", "1", "100.0", ""],
    ]


def test_a_sweep_over_seeds_alone_is_one_mean(tmp_path, ended):
    job(tmp_path / "a", ["seed=0"], digits=0.2)
    job(tmp_path / "b", ["seed=1"], digits=0.4)
    shown = ended()
    assert "Means over seeds" in shown
    assert "sweep.csv; means over seeds: means.csv\n" in shown
    [_, row] = (tmp_path / "means.csv").read_text().splitlines()
    assert row == "as configured,digits,2,30.0,14.1"
    assert len((tmp_path / "sweep.csv").read_text().splitlines()) == 3


def test_without_several_seeds_there_are_no_means(tmp_path, ended):
    job(tmp_path / "a", ["limit=3", "seed=0"], digits=0.2)
    job(tmp_path / "b", ["limit=5", "seed=0"], digits=0.4)
    job(tmp_path / "c", ["limit=5", "seed=1"])
    shown = ended()
    assert "limit=3" in shown
    assert "eans" not in shown
    assert not (tmp_path / "means.csv").exists()


def test_a_sweep_without_a_job_says_nothing(tmp_path, ended):
    assert ended() == ""
    assert not list(tmp_path.iterdir())


def test_settings_are_shown_as_they_were_written_and_without_keys(tmp_path, monkeypatch):
    monkeypatch.setenv("REWARD_KEY", "k3y")
    reference = "verifier.headers={Authorization: 'Bearer ${oc.env:REWARD_KEY}'}"
    job(tmp_path / "a", [reference, "model.path=${nowhere}/x", "verifier.api_key=k3y"])
    [[_, settings]] = accuracies(read_jobs(tmp_path))[1]
    assert "${nowhere}/x" in settings
    assert "k3y" not in settings
