"""``plan=true`` says what a run would take and does nothing else."""

import re

import pytest


@pytest.mark.slow
def test_a_plan_is_printed_and_nothing_is_run(p2o_train, tmp_path):
    result = p2o_train("plan=true", f"hydra.run.dir={tmp_path}/run")
    assert result.returncode == 0, result.stderr
    assert "fits: " in result.stdout
    assert "optimiser steps an epoch" in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert not (tmp_path / "run" / "checkpoints").exists()
    assert not (tmp_path / "run" / "metrics.csv").exists()


@pytest.mark.slow
def test_checkpoints_take_as_much_of_the_disk_as_planned(p2o_train, tmp_path):
    small = ("data.source.train=16", "data.source.held_out=8", "data.batch=8", "data.mini_batch=4")
    small += ("trainer.max_epochs=3", "selection=best", f"hydra.run.dir={tmp_path}/run")
    plan = p2o_train("plan=true", *small).stdout
    planned = re.search(r"(\d+) checkpoints of (\S+) GB take (\S+) GB of disk", plan)
    assert planned, plan
    assert p2o_train(*small, "evolution=none").returncode == 0
    files = [f for f in (tmp_path / "run/checkpoints").iterdir() if not f.is_symlink()]
    # The recent one is written every 15 minutes.
    assert len(files) == int(planned[1]) - 1
    for file in files:
        assert file.stat().st_size / 1e9 == pytest.approx(float(planned[2]), rel=0.03)


@pytest.mark.slow
def test_with_one_checkpoint_kept_a_run_can_still_go_on(p2o_train, tmp_path):
    small = ("data.source.train=16", "data.source.held_out=8", "data.batch=8", "data.mini_batch=4")
    small += (
        "evolution=none",
        "checkpoint.save_top_k=1",
        "selection=last",
        f"hydra.run.dir={tmp_path}/run",
    )
    assert p2o_train(*small, "trainer.max_epochs=2").returncode == 0
    folder = tmp_path / "run" / "checkpoints"
    assert {file.name for file in folder.iterdir()} == {"epoch_0001.ckpt", "last.ckpt"}
    assert (folder / "last.ckpt").resolve().name == "epoch_0001.ckpt"
    more = p2o_train(*small, "trainer.max_epochs=3", "resume=auto")
    assert more.returncode == 0, more.stderr
    assert {file.name for file in folder.iterdir()} == {"epoch_0002.ckpt", "last.ckpt"}
    assert (folder / "last.ckpt").resolve().name == "epoch_0002.ckpt"
