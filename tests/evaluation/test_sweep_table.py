"""What the table of a sweep of evaluations tells of its jobs."""

import json

import yaml

from p2o.evaluation.sweep_table import accuracies


def job(folder, told, **found):
    (folder / ".hydra").mkdir(parents=True)
    (folder / ".hydra" / "overrides.yaml").write_text(yaml.safe_dump(told))
    if found:
        benchmarks = {name: {"accuracy": value} for name, value in found.items()}
        (folder / "results.json").write_text(json.dumps({"benchmarks": benchmarks}))


def test_each_job_has_what_it_alone_was_told_and_what_came_of_it(tmp_path):
    job(tmp_path / "b", ["limit=5", "seed=1"], digits=0.25, svamp=0.5)
    job(tmp_path / "a", ["limit=5", "seed=0"], digits=1 / 3)
    job(tmp_path / "c", ["limit=5", "seed=2"])
    columns, rows = accuracies(tmp_path)
    assert columns == ["folder", "settings", "digits", "svamp"]
    assert rows == [
        ["a", "seed=0", "33.3", ""],
        ["b", "seed=1", "25.0", "50.0"],
        ["c", "seed=2", "", ""],
    ]
    assert accuracies(tmp_path / "nowhere")[1] == []


def test_settings_are_shown_as_they_were_written_and_without_keys(tmp_path, monkeypatch):
    monkeypatch.setenv("REWARD_KEY", "k3y")
    reference = "verifier.headers={Authorization: 'Bearer ${oc.env:REWARD_KEY}'}"
    job(tmp_path / "a", [reference, "model.path=${nowhere}/x", "verifier.api_key=k3y"])
    [[_, settings]] = accuracies(tmp_path)[1]
    assert "${nowhere}/x" in settings
    assert "k3y" not in settings
