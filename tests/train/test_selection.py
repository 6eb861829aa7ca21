"""Evaluations between updates, the best checkpoint, and an end when nothing gets better."""

import csv

import pytest

from p2o.checkpointing import read_header

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
    assert read_header(run / "checkpoints" / "best.ckpt")["global_step"] == 2


@pytest.mark.slow
def test_without_a_choice_there_is_one_evaluation_an_epoch_and_no_best(p2o_train, tmp_path):
    run = tmp_path / "run"
    result = p2o_train(*SMALL, "trainer.max_epochs=2", f"hydra.run.dir={run}")
    assert result.returncode == 0, result.stderr
    assert len(evaluations(run)) == 3
    assert not (run / "checkpoints" / "best.ckpt").exists()
