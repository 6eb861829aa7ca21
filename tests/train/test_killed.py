"""A run that is killed anywhere and started again ends as one that was never killed."""

import csv
import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from p2o.records import TABLES, read

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
    "trainer.accumulate_grad_batches=2",
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
    "within an update",
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
STOPS = [
    (name, point)
    for name, points in {
        "SIGTERM": (
            *("in a rollout", "within an update", "after a checkpoint", "in a search"),
            *("after a search", "after a rollout"),
        ),
        "SIGINT": (
            *("in a rollout", "before an update", "after an update", "in a search"),
            "after a rollout",
        ),
    }.items()
    for point in points
]


TIMED = ("seconds/", "throughput/", "ledger/seconds")
"""Metrics that are no two runs' same."""
OWN = ("train.log", ".lock")
"""Files that any start writes to."""


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
    server.wait()


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
        if key.startswith(("HardSampleMiner", "PromptEvolution", "ShareOfBest"))
    }
    ledger = {
        phase: {name: number for name, number in counts.items() if name != "seconds"}
        for phase, counts in final["RolloutDataModule"]["ledger"].items()
    }
    summary = json.loads((folder / "run" / "summary.json").read_text())
    with (folder / "run" / "metrics.csv").open() as file:
        rows = [{k: v for k, v in row.items() if v} for row in csv.DictReader(file)]
    untimed = [{k: v for k, v in row.items() if not k.startswith(TIMED)} for row in rows]
    # What is left of a row of times is its place alone.
    metrics = [sorted(row.items()) for row in untimed if row.keys() - {"step", "epoch"}]
    return {
        "weights": {name: value.tolist() for name, value in final["state_dict"].items()},
        "optimizer": repr(final["optimizer_states"]),
        "callbacks": callbacks,
        "ledger": ledger,
        "accuracy": summary["accuracy"],
        "templates": summary["templates"],
        "metrics": metrics,
        "records": records(folder),
    }


def records(folder: Path) -> dict[str, list]:
    """All rows, in their order."""
    kept = read(folder / "run")
    rows = {name: kept.query(name).to_pylist() for name in TABLES}
    assert not kept.notes
    return rows


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


def stopped(start, folder: Path, name: str, point: str, visit: int, begun: bool = True) -> None:
    """Start a run that is told to stop, which it does in one line."""
    output = folder / "output.txt"
    said_before = len(output.read_text()) if output.is_file() else 0
    status, _ = start(folder, signal=name, point=point, visit=visit)
    said = output.read_text()[said_before:]
    assert status == {"SIGTERM": 0, "SIGINT": 130}[name], said
    way_on = f"; resume=auto hydra.run.dir={folder / 'run'} goes on" if begun else ""
    last_line = f"stopped by {'Ctrl-C' if name == 'SIGINT' else name}{way_on}"
    assert said.strip().splitlines()[-1] == last_line
    assert "Traceback" not in said
    assert not (folder / "run" / "summary.json").exists()


@pytest.mark.parametrize(("name", "point"), STOPS, ids=map(" ".join, STOPS))
def test_told_to_stop_it_saves_and_says_how_to_go_on(start, whole, tmp_path, name, point):
    visit = random.Random(f"{name} {point}").randint(2, whole[1][point])
    stopped(start, tmp_path, name, point, visit)
    assert start(tmp_path)[0] == 0
    # Not even a row of metrics is lost.
    assert_equal(tmp_path, whole[0], kills=0)


def test_told_to_stop_before_it_has_begun_it_leaves_no_folder(start, whole, tmp_path):
    stopped(start, tmp_path, "SIGINT", "in preparation", 1, begun=False)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (
            ["optimizer.lr=0.5", "trainer.max_epochs=4"],
            ".ckpt: written with other settings (optimizer.lr was 0.0002, is 0.5)",
        ),
        # Lightning refuses this one, when everything else has been accepted.
        (["trainer.max_epochs=1"], "You restored a checkpoint with current_epoch="),
    ],
    ids=["other settings", "fewer epochs"],
)
def test_a_restart_that_is_refused_changes_nothing(start, whole, tmp_path, changed, said):
    shutil.copytree(whole[0], tmp_path, symlinks=True, dirs_exist_ok=True)
    run = tmp_path / "run"
    kept = [path for path in run.rglob("*") if path.is_file() and path.name not in OWN]
    before = {path: path.read_bytes() for path in kept}
    assert run / ".hydra" / "config.yaml" in before
    assert start(tmp_path, more=changed)[0] == 2
    assert said in (tmp_path / "output.txt").read_text().splitlines()[-1]
    assert {path: path.read_bytes() for path in kept} == before


def test_a_flipped_bit_is_noticed_and_the_checkpoint_before_is_taken(start, whole, tmp_path):
    shutil.copytree(whole[0], tmp_path, symlinks=True, dirs_exist_ok=True)
    checkpoints = tmp_path / "run" / "checkpoints"
    (checkpoints / "best.ckpt").unlink()
    path = checkpoints / "epoch_0002.ckpt"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    (tmp_path / "run" / "metrics.csv").write_bytes(b"\xff\x00 no table")
    (tmp_path / "run" / "evolution" / "journal_0.jsonl").write_bytes(b'\xff\x00\n[1]\n"x"\n')
    assert start(tmp_path)[0] == 0
    assert "epoch_0002.ckpt: damaged; " in (tmp_path / "output.txt").read_text()
    one, other = outcome(tmp_path), outcome(whole[0])
    for part in ("weights", "optimizer", "ledger", "callbacks", "accuracy"):
        assert one[part] == other[part], part


def test_told_to_stop_twice_in_a_search_it_counts_once(start, whole, tmp_path):
    stopped(start, tmp_path, "SIGINT", "in a search", whole[1]["in a search"] // 2)
    stopped(start, tmp_path, "SIGINT", "in a search", 3)
    assert start(tmp_path)[0] == 0
    assert_equal(tmp_path, whole[0], kills=0)


def test_a_run_that_has_finished_says_so_and_keeps_what_it_measured(start, whole, tmp_path):
    shutil.copytree(whole[0], tmp_path, symlinks=True, dirs_exist_ok=True)
    before = {path: path.read_bytes() for path in (tmp_path / "run").glob("*.csv")}
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    # As if it had been killed after its last checkpoint.
    (tmp_path / "run" / "summary.json").unlink()
    assert start(tmp_path)[0] == 0
    assert "This run had finished before" in (tmp_path / "output.txt").read_text()
    again = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert again["accuracy"]["after"] is not None
    for key in ("accuracy", "hard_accuracy", "held_out", "held_out_hard", "training_rollouts"):
        assert again[key] == summary[key], key
    assert {path: path.read_bytes() for path in before} == before


def test_a_checkpoint_from_within_an_update_loses_no_gradients(start, whole, tmp_path):
    everywhere = tmp_path / "everywhere"
    save = "+callbacks.save._target_=killing.SaveEverywhere"
    assert start(everywhere, more=["trainer.max_epochs=1", save])[0] == 0
    saved = sorted(everywhere.glob("step_*.ckpt"))
    # Every second one is from within an update, and as good as the one before it.
    assert len(saved) > 4
    for path in saved[1:5]:
        folder = tmp_path / path.stem
        resume = ["resume=null", f"ckpt_path={path}", "checkpoint.save_top_k=-1"]
        assert start(folder, more=[*resume, "trainer.max_epochs=1"])[0] == 0
        assert_same_weights(folder, whole[0], "epoch_0000.ckpt")


@pytest.mark.parametrize(
    ("file_size", "more", "reached"),
    [
        (6_000, [], "where its settings are written"),
        (60_000, ["save_policy=merged"], "where the policy is written"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_disk_that_is_full_at_the_end_is_one_line_and_no_loss(
    start, whole, tmp_path, file_size, more, reached
):
    """A run whose last checkpoint is written, in files that may not grow further than so much."""
    shutil.copytree(whole[0], tmp_path, symlinks=True, dirs_exist_ok=True)
    (tmp_path / "output.txt").unlink()
    run = tmp_path / "run"
    status, _ = start(tmp_path, file_size=file_size, more=more)
    said = (tmp_path / "output.txt").read_text()
    assert status == 2, said
    assert [line for line in said.splitlines() if line.startswith("error")] == [
        f"error: {run}: no room left on the disk; make room, and "
        f"resume=auto hydra.run.dir={run} goes on"
    ]
    assert "Traceback" not in said
    assert not list(run.glob("**/*.part"))
    assert start(tmp_path, more=more)[0] == 0
    assert (run / "policy" / "model.safetensors").is_file() == bool(more)
    assert_equal(tmp_path, whole[0], kills=0)


def assert_same_weights(folder: Path, other: Path, name: str) -> None:
    one, two = (
        torch.load(f / "run" / "checkpoints" / name, weights_only=True) for f in (folder, other)
    )
    for weight, value in two["state_dict"].items():
        assert torch.equal(one["state_dict"][weight], value), weight
    ledgers = [
        {phase: counts | {"seconds": 0} for phase, counts in ledger.items()}
        for ledger in (one["RolloutDataModule"]["ledger"], two["RolloutDataModule"]["ledger"])
    ]
    assert ledgers[0] == ledgers[1]
