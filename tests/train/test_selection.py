"""Evaluations between updates, the best checkpoint, and an end when nothing gets better."""

import csv
import json

import pytest

from p2o.running.checkpoint_files import read_header

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
    assert read_header(run / "checkpoints" / "best.ckpt")["global_step"] == 1


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
