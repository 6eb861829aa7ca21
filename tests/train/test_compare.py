"""The comparison of methods at equal rollouts."""

import json
import subprocess
import sys

import pytest
from rich.console import Console

from p2o.cli.compare import table
from tests.patience import HANGS

SMALL = (
    *("data.source.train=8", "data.source.held_out=4", "data.batch=4", "data.mini_batch=4"),
    *("data.group_size=2", "evolution=none"),
)


def compare(folder, *arguments):
    return subprocess.run(
        [sys.executable, "-m", "p2o.cli.compare", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=HANGS,
    )


@pytest.mark.slow
def test_arms_spend_the_same_and_a_second_call_uses_what_is_there(tmp_path):
    command = (
        *("--seeds", "2", "--rollouts", "30", "--folder", "runs", "--figure", "curves.png"),
        *("--arm", "one: optimizer.lr=1e-3", "--arm", "other: algorithm=rloo", *SMALL),
    )
    first = compare(tmp_path, *command)
    assert first.returncode == 0, first.stderr
    assert "2 seeds" in first.stdout
    summaries = [json.loads(path.read_text()) for path in tmp_path.glob("runs/*/summary.json")]
    assert [summary["training_rollouts"] for summary in summaries] == [32] * 4
    assert {(s["config"]["seed"], s["config"]["optimizer"]["lr"] == 1e-3) for s in summaries} == {
        *((0, True), (0, False), (1, True), (1, False))
    }
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
    made = {path: path.stat().st_mtime_ns for path in tmp_path.glob("runs/*/summary.json")}
    again = compare(tmp_path, *command)
    assert again.stdout == first.stdout
    assert {path: path.stat().st_mtime_ns for path in made} == made


@pytest.mark.slow
def test_what_cannot_run_is_said_in_one_line(tmp_path):
    for arm, said in (("no settings", "write 'NAME: key=value ...'"), ("a: sed=1", "no such key")):
        done = compare(tmp_path, "--seeds", "1", "--arm", arm)
        assert done.returncode == 2
        assert done.stderr.startswith("error: ")
        assert said in done.stderr
        assert len(done.stderr.splitlines()) == 1


def summary(after, learned_at=None, collapse=None):
    return {
        "training_rollouts": 10_000,
        "accuracy": {"before": 0.25, "after": after},
        "hard_accuracy": {"after": after},
        "learned_at": learned_at,
        "collapse": collapse,
    }


def test_the_table_keeps_numbers_whole_beside_a_long_name():
    results = {
        "a long name of an arm that takes more than its share": [summary(1.0, 4000), summary(0.5)],
        "short": [summary(0.0, collapse="training has collapsed")],
    }
    console = Console(width=80, record=True, file=None, quiet=False)
    with console.capture() as capture:
        console.print(table(results))
    text = capture.get()
    for number in ("10,000", "25.0", "75.0 ± 35.4", "4,000 (1/2)", "(0/1)"):
        assert number in text
    assert "(1 collapsed)" in " ".join(text.split()) or "collapsed)" in text
    assert all(len(line) <= 80 for line in text.splitlines())
