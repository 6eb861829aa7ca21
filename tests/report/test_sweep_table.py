"""A sweep ends in one table with means over seeds."""

import json
import re
import shutil
from csv import DictReader

import pytest

from p2o.report.sweep_table import print_sweep
from p2o.running.terminal import Terminal
from tests.report.world import write_run


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    """Two settings with two seeds each; a third run has not ended."""
    folder = tmp_path_factory.mktemp("sweep")
    for name, after in (("no_crm", (0.5, 0.75)), ("tapered", (0.75, 1.0))):
        for seed in (0, 1):
            setting = f"distillation={name}"
            run = folder / f"{setting},seed={seed}"
            write_run(run, (setting,), seed, after[seed], recorded=False)
    shutil.copytree(run, folder / "distillation=tapered,seed=2")
    (folder / "distillation=tapered,seed=2" / "summary.json").unlink()
    return folder


def rows(folder, capsys):
    print_sweep(folder, Terminal(width=80))
    text = capsys.readouterr().out
    assert all(len(line) <= 80 for line in text.splitlines() if str(folder) not in line)
    lines = [line for line in text.splitlines() if "30" in line]
    return [re.split("  +", line.strip()) for line in lines], text


def test_settings_have_means_and_deviations_over_the_seeds_that_have_ended(sweep, capsys):
    found, text = rows(sweep, capsys)
    assert [row[:4] for row in found] == [
        ["distillation=no_crm", "2", "25.0 ± 0.0", "62.5 ± 17.7"],
        ["distillation=tapered", "2", "25.0 ± 0.0", "87.5 ± 17.7"],
    ]
    # Ten in each of three phases; held-out evaluation does not count.
    assert [row[-1] for row in found] == ["30", "30"]
    assert f"p2o-report {sweep}/*/" in text
    with (sweep / "sweep.csv").open() as file:
        runs = {
            row["folder"]: (row["settings"], row["seed"], row["after"]) for row in DictReader(file)
        }
    assert runs["distillation=no_crm,seed=1"] == ("distillation=no_crm", "1", "0.75")
    assert len(runs) == 4


def test_a_single_seed_has_no_deviation_and_a_run_that_a_guard_stopped_is_named(
    sweep, tmp_path, capsys
):
    run = tmp_path / "one"
    shutil.copytree(sweep / "distillation=no_crm,seed=0", run)
    path = run / "summary.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "collapse": "entropy"}))
    found, _ = rows(tmp_path, capsys)
    assert found == [["distillation=no_crm (1 collapsed)", "1", "25.0", "50.0", "50.0", "30"]]


def test_a_sweep_of_which_nothing_has_ended_shows_nothing(tmp_path, capsys):
    assert rows(tmp_path, capsys) == ([], "")
