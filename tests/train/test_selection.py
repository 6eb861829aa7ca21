"""Evaluations between updates, the best checkpoint, and an end when nothing gets better."""

import csv
import json
import os

import pytest
import torch

from p2o.running.checkpoint_files import check_whole, newest_checkpoint, read_header
from p2o.running.shards import PROGRESS

# A learning rate of 0: no evaluation is better than the first.
SMALL = (
    *("data.source.train=16", "data.source.held_out=8", "data.batch=8", "data.mini_batch=4"),
    *("evolution=none", "trainer.max_epochs=6", "optimizer.lr=0.0"),
)


def evaluations(run):
    with (run / "metrics.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row.get("val/accuracy")]
    return [int(row["step"]) for row in rows]


@pytest.mark.slow
def test_a_run_ends_when_nothing_has_been_better_and_keeps_the_best(p2o_train, tmp_path):
    run = tmp_path / "run"
    result = p2o_train(
        *(*SMALL, "selection=early_stopping", "callbacks.early_stopping.patience=2"),
        *("trainer.val_check_interval=2", f"hydra.run.dir={run}"),
    )
    assert result.returncode == 0, result.stderr
    # Before training, then twice an epoch until two in a row were no better than the first.
    assert evaluations(run) == [0, 1, 3, 5]
    # Of its first two batches one has no gradient.
    best = run / "checkpoints" / "best.ckpt"
    assert read_header(best)["global_step"] == 1
    # Between updates it is another state than any at an epoch's end.
    assert best.stat().st_nlink == 1


SHARDS = (
    *("trainer=fsdp2", "trainer.accelerator=cpu", "trainer.devices=2"),
    "trainer.strategy.save_distributed_checkpoint=true",
)


@pytest.mark.slow
@pytest.mark.parametrize(
    "more", [(), pytest.param(SHARDS, marks=pytest.mark.multirank)], ids=["file", "shards"]
)
def test_the_best_is_stored_once_with_its_epoch_and_outlives_it(p2o_train, tmp_path, more):
    run = (*SMALL, *more, "save_policy=null", f"hydra.run.dir={tmp_path}/run")
    folder = tmp_path / "run" / "checkpoints"
    best, first = folder / "best.ckpt", folder / "epoch_0000.ckpt"
    result = p2o_train(*run, "trainer.max_epochs=1")
    assert result.returncode == 0, result.stderr
    assert {path.name for path in folder.iterdir()} == {first.name, best.name, "last.ckpt"}
    assert files(best).keys() == files(first).keys()
    assert all(os.path.samefile(path, files(first)[name]) for name, path in files(best).items())
    assert newest_checkpoint(folder) == first
    check_whole(best)
    result = p2o_train(*run, "trainer.max_epochs=4", "resume=auto")
    assert result.returncode == 0, result.stderr
    assert not first.exists()
    assert all(path.stat().st_nlink == 1 for path in files(best).values())
    check_whole(best)
    assert best_score(newest_checkpoint(folder)) == best_score(best)
    assert read_header(best)["global_step"] < read_header(folder / "last.ckpt")["global_step"]


def files(checkpoint):
    """Those of a checkpoint, which is one or a folder of them."""
    return (
        {path.name: path for path in checkpoint.iterdir()}
        if checkpoint.is_dir()
        else {"": checkpoint}
    )


def best_score(checkpoint):
    """What a checkpoint says of the best one: its path, and how good it is."""
    file = checkpoint / PROGRESS if checkpoint.is_dir() else checkpoint
    callbacks = torch.load(file, weights_only=True)["callbacks"]
    [state] = [state for key, state in callbacks.items() if "'filename': 'best'" in key]
    return state["best_model_path"], state["best_model_score"].item()


@pytest.mark.slow
def test_told_so_there_is_one_evaluation_an_epoch_and_no_best(p2o_train, tmp_path):
    run = tmp_path / "run"
    result = p2o_train(*SMALL, "trainer.max_epochs=2", "selection=last", f"hydra.run.dir={run}")
    assert result.returncode == 0, result.stderr
    assert len(evaluations(run)) == 3
    assert not (run / "checkpoints" / "best.ckpt").exists()


@pytest.mark.slow
def test_the_last_few_checkpoints_are_kept_and_the_best(p2o_train, tmp_path):
    folder = tmp_path / "run" / "checkpoints"
    run = (*SMALL[:-2], "optimizer.lr=0.0", f"hydra.run.dir={tmp_path}/run")
    assert p2o_train(*run, "trainer.max_epochs=5").returncode == 0
    kept = {"best.ckpt", "last.ckpt", *(f"epoch_000{epoch}.ckpt" for epoch in (2, 3, 4))}
    assert {path.name for path in folder.iterdir()} == kept
    more = p2o_train(*run, "trainer.max_epochs=7", "resume=auto")
    assert more.returncode == 0, more.stderr
    kept = {"best.ckpt", "last.ckpt", *(f"epoch_000{epoch}.ckpt" for epoch in (4, 5, 6))}
    assert {path.name for path in folder.iterdir()} == kept


@pytest.mark.slow
@pytest.mark.parametrize(
    ("more", "every"),
    [
        (["+trainer.max_steps=3"], 4),
        (["trainer.max_epochs=1", "trainer.val_check_interval=3"], 3),
    ],
    ids=["steps", "between evaluations"],
)
def test_the_weights_at_the_end_are_evaluated_however_it_ends(p2o_train, tmp_path, more, every):
    """An epoch has four batches, and a batch without gradient makes no update."""
    run = (
        *SMALL[:-2],
        "callbacks.accuracy_floor=null",
        "optimizer.lr=0.01",
        *more,
        f"hydra.run.dir={tmp_path}/run",
    )
    result = p2o_train(*run)
    assert result.returncode == 0, result.stderr
    with (tmp_path / "run" / "metrics.csv").open() as file:
        end = [int(row["step"]) for row in csv.DictReader(file) if row.get("train/loss")][-1]
    assert evaluations(tmp_path / "run") == [0, *range(every - 1, end, every), end]
    with (tmp_path / "run" / "metrics.csv").open() as file:
        last = [row["val/accuracy"] for row in csv.DictReader(file) if row.get("val/accuracy")][-1]
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["accuracy"]["after"] == pytest.approx(float(last))
    assert p2o_train(*run, "resume=auto").returncode == 0
    again = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert again["accuracy"] == summary["accuracy"]
