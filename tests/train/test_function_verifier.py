"""A function in a file of the user's decides what is right, in each of the commands."""

import csv
import json
import sys
from pathlib import Path

import pytest

from p2o.cli.data import main
from p2o.evaluation.completions import read_completions

pytestmark = pytest.mark.slow

# Pays for the length of a response, and a little for the answer; fails on some.
REWARD = """
def reward(problem, completion: str, answer: str) -> float:
    assert problem.gold == answer
    if completion.count("1") == 3:
        raise ValueError("three ones")
    return len(completion) / 100 + (answer in completion) / 1000
"""
VERIFIER = ("verifier=function", "verifier.path=rewards/mine.py:reward")
SMALL = (
    *("data.source.train=8", "data.source.held_out=4", "data.batch=4", "data.mini_batch=4"),
    *("trainer.max_epochs=1", "evolution=none", "verifier_guard.max_error_share=1"),
)


@pytest.fixture(autouse=True)
def _file(tmp_path):
    (tmp_path / "rewards").mkdir()
    (tmp_path / "rewards" / "mine.py").write_text(REWARD)


def test_a_run_is_paid_by_it_and_goes_on_with_it(p2o_train, tmp_path):
    folder = ("hydra.run.dir=run", "resume=auto")
    done = p2o_train(*VERIFIER, *SMALL, *folder)
    assert done.returncode == 0, done.stderr
    rows = list(csv.DictReader((tmp_path / "run" / "metrics.csv").open()))
    rewards = [float(row["reward/mean"]) for row in rows if row["reward/mean"]]
    assert len(rewards) == 2
    assert all(0 < reward < 1 for reward in rewards)
    config = json.loads((tmp_path / "run" / "summary.json").read_text())["config"]
    assert config["verifier"]["path"] == "rewards/mine.py:reward"
    more = p2o_train(*VERIFIER, *SMALL, *folder, "trainer.max_epochs=2")
    assert more.returncode == 0, more.stderr
    other = p2o_train("verifier=function", "verifier.path=other.py:f", *SMALL, *folder)
    assert other.returncode == 2
    assert 'verifier.path was "rewards/mine.py:reward", is "other.py:f"' in other.stderr


def test_a_file_that_is_not_there_ends_the_run_in_one_line(p2o_train, tmp_path):
    refused = p2o_train("verifier=function", "verifier.path=mine.py:reward", *SMALL)
    assert refused.returncode == 2
    assert refused.stderr == (
        f"error: verifier.path=mine.py:reward: no such file (looked from {tmp_path})\n"
    )


def test_an_evaluation_is_paid_by_it(forks, tmp_path):
    arguments = ("model=digits", "suite=digits", "limit=12")
    lengths = ("max_new_tokens=24", "max_prompt_tokens=160", "verifier_guard.max_error_share=1")
    given = [*arguments, *lengths, *VERIFIER, "hydra.run.dir=out"]
    done = forks.run("p2o.cli.eval", given, tmp_path)
    assert done.returncode == 0, done.stderr
    rows = read_completions(tmp_path / "out")
    assert len(rows) == 12
    for row in rows:
        failed = row["response"].count("1") == 3
        right = row["golds"][0] in row["response"]
        paid = 0.0 if failed else len(row["response"]) / 100 + right / 1000
        assert row["reward"] == pytest.approx(paid)
        assert row["status"] == ("error" if failed else "ok")


def test_data_are_looked_at_with_it(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["p2o-data", "inspect", *VERIFIER, *SMALL])
    main()
    assert "training prompt 1" in capsys.readouterr().out
    Path("rewards/mine.py").write_text("def reward(text): return 0")
    with pytest.raises(SystemExit):
        main()
    assert "error: verifier.path=rewards/mine.py:reward: takes text" in capsys.readouterr().err
