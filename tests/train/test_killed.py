"""A run that is killed anywhere and started again ends as one that was never killed."""

import csv
import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
import torch

pytestmark = pytest.mark.slow

ARGUMENTS = (
    "seed=3",
    "data.source.train=24",
    "data.source.short_share=0.25",
    "data.source.held_out=8",
    "data.batch=8",
    "data.mini_batch=4",
    "evolution.evolver.budget=200",
    "evolution.evolver.dev_size=6",
    "evolution.evolver.minimum=4",
    "trainer.max_epochs=3",
    "save_policy=null",
    # Between the checkpoints of epochs, one after every third update.
    "callbacks.recent.train_time_interval=null",
    "+callbacks.recent.every_n_train_steps=3",
    "resume=auto",
    "hydra.run.dir=run",
)
KILLS = (
    "in a rollout",
    "in a rollout",
    "after a rollout",
    "before an update",
    "before an update",
    "after an update",
    "after an update",
    "checkpoint half written",
    "checkpoint half written",
    "after a checkpoint",
    "after a checkpoint",
    "in a search",
    "in a search",
    "in a search",
    "in a search",
    "journal half written",
    "journal half written",
    "at an epoch's end",
    "at an epoch's start",
    "after a search",
)
"""Points of `killing.py`; the visit at which the process is killed is drawn with the seed."""
TERMINATIONS = ("in a rollout", "before an update", "after a checkpoint", "in a search")


@pytest.fixture(scope="module")
def start():
    """Run to the end, or to a signal; returns the exit status and the visits to each point."""
    server = subprocess.Popen(
        [sys.executable, str(Path(__file__).parent / "killing.py")],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdin is not None
    assert server.stdout is not None
    stdin, stdout = server.stdin, server.stdout

    def start(folder: Path, **order) -> tuple[int, dict[str, int]]:
        folder.mkdir(exist_ok=True)
        arguments = [*ARGUMENTS, *order.pop("more", ())]
        stdin.write(json.dumps({"folder": str(folder), "arguments": arguments, **order}) + "\n")
        stdin.flush()
        answer = json.loads(stdout.readline())
        return answer["status"], answer["visits"]

    yield start
    stdin.close()
    server.wait(timeout=30)


@pytest.fixture(scope="module")
def whole(start, tmp_path_factory):
    """A run that was never stopped: its folder, and the visits to each point."""
    folder = tmp_path_factory.mktemp("whole")
    status, visits = start(folder)
    assert status == 0, (folder / "output.txt").read_text()
    return folder, visits


def outcome(folder: Path) -> dict:
    """All that has to be equal."""
    final = torch.load(folder / "run" / "checkpoints" / "epoch_0002.ckpt", weights_only=True)
    callbacks = {
        key: state
        for key, state in final["callbacks"].items()
        if key.startswith(("HardSampleMiner", "PromptEvolution", "ShareOfStart"))
    }
    ledger = {
        phase: {name: number for name, number in counts.items() if name != "seconds"}
        for phase, counts in final["RolloutDataModule"]["ledger"].items()
    }
    summary = json.loads((folder / "run" / "summary.json").read_text())
    with (folder / "run" / "metrics.csv").open() as file:
        metrics = [sorted((k, v) for k, v in row.items() if v) for row in csv.DictReader(file)]
    return {
        "weights": {name: value.tolist() for name, value in final["state_dict"].items()},
        "optimizer": repr(final["optimizer_states"]),
        "callbacks": callbacks,
        "ledger": ledger,
        "accuracy": summary["accuracy"],
        "templates": summary["templates"],
        "metrics": metrics,
    }


def assert_equal(folder: Path, whole: Path, kills: int = 1) -> None:
    one, other = outcome(folder), outcome(whole)
    rows, expected = one.pop("metrics"), other.pop("metrics")
    # What a step logs is written after its checkpoint; a kill may come in between.
    assert len(expected) - kills <= len(rows) <= len(expected)
    assert [row for row in expected if row in rows] == rows
    for part, value in other.items():
        assert one[part] == value, part


def test_the_run_has_what_it_is_killed_for(whole):
    """A search that found something, and visits to all points."""
    folder, visits = whole
    assert set(KILLS) <= set(visits)
    result = outcome(folder)
    [evolution] = [s for k, s in result["callbacks"].items() if k.startswith("PromptEvolution")]
    assert evolution["pool"]["assignment"]
    assert result["ledger"]["evolution"]["metric_calls"] > 60


@pytest.mark.parametrize("seed", range(len(KILLS)))
def test_killed_and_started_again_equals_never_killed(start, whole, tmp_path, seed):
    point = KILLS[seed]
    visit = random.Random(seed).randint(1, whole[1][point])
    status, _ = start(tmp_path, signal="SIGKILL", point=point, visit=visit)
    assert status == -9, (point, visit)
    status, _ = start(tmp_path)
    assert status == 0, (tmp_path / "output.txt").read_text()
    assert_equal(tmp_path, whole[0])


def test_killed_again_and_again(start, whole, tmp_path):
    generator = random.Random("again")
    for number in range(6):
        point = generator.choice(KILLS)
        status, _ = start(tmp_path, signal="SIGKILL", point=point, visit=2 + number % 3)
        assert status in (0, -9)
    assert start(tmp_path)[0] == 0
    assert_equal(tmp_path, whole[0], kills=6)


def test_a_search_started_again_does_not_pay_twice(start, whole, tmp_path):
    calls = whole[1]["in a search"]
    start(tmp_path, signal="SIGKILL", point="in a search", visit=calls // 2)
    before = whole[1]["journal half written"]
    _, visits = start(tmp_path)
    # What was on disk when it was killed was not asked for again.
    assert visits["journal half written"] <= before - calls // 2 + 2


@pytest.mark.parametrize("seed", range(len(TERMINATIONS)))
def test_told_to_stop_it_saves_and_exits_well(start, whole, tmp_path, seed):
    point = TERMINATIONS[seed]
    visit = random.Random(seed).randint(2, whole[1][point])
    status, _ = start(tmp_path, signal="SIGTERM", point=point, visit=visit)
    output = (tmp_path / "output.txt").read_text()
    assert status == 0, output
    assert output.strip().splitlines()[-1] == (
        f"stopped by SIGTERM; resume=auto hydra.run.dir={tmp_path / 'run'} goes on"
    )
    assert "Traceback" not in output
    assert not (tmp_path / "run" / "summary.json").exists()
    assert start(tmp_path)[0] == 0
    assert_equal(tmp_path, whole[0])
