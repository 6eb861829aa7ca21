"""Accuracy is the share that is solved; a reward for half of an answer is no accuracy."""

import json

import pytest

from p2o.cli.export import export

pytestmark = pytest.mark.slow

SMALL = (
    *("data.source.train=4", "data.source.held_out=4", "data.batch=4", "data.mini_batch=4"),
    *("trainer.max_epochs=1", "evolution=none", "data.group_size=2"),
)


@pytest.fixture
def run(p2o_train, tmp_path):
    (tmp_path / "mine.py").write_text("def reward(completion, answer): return 0.3\n")
    verifier = ("verifier=function", "verifier.path=mine.py:reward")
    done = p2o_train(*verifier, *SMALL, "hydra.run.dir=run")
    assert done.returncode == 0, done.stderr
    return done


def test_four_wrong_answers_with_part_of_the_reward_are_not_thirty_percent_right(run, tmp_path):
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["accuracy"] == {"before": 0.0, "after": 0.0}
    assert summary["held_out_hard"] == 4
    assert summary["reward"] == pytest.approx({"before": 0.3, "after": 0.3})
    rows = {
        line.split("│")[1].strip(): line.split("│")
        for line in run.stdout.splitlines()
        if "│" in line
    }
    assert [cell.strip() for cell in rows["all"][2:5]] == ["4", "0.0%", "0.0%"]
    partial = rows["mean reward, partial ones counted"]
    assert [cell.strip() for cell in partial[2:5]] == ["4", "0.300", "0.300"]


def test_the_card_says_what_was_measured(run, tmp_path):
    card = (export(tmp_path / "run") / "README.md").read_text()
    assert "| all | 4 | 0.0% | 0.0% |" in card
    assert "| mean reward, partial ones counted | 4 | 0.300 | 0.300 |" in card
    assert "Accuracy is the share of responses that are solved." in card


def test_the_run_goes_on_with_what_it_measured_before(run, p2o_train, tmp_path):
    verifier = ("verifier=function", "verifier.path=mine.py:reward")
    more = (*SMALL, "hydra.run.dir=run", "resume=auto", "trainer.max_epochs=2")
    done = p2o_train(*verifier, *more)
    assert done.returncode == 0, done.stderr
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["reward"] == pytest.approx({"before": 0.3, "after": 0.3})
