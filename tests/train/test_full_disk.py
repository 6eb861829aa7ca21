"""A disk that fills up: one line, nothing half written, and a run that goes on with more room."""

import os
import resource
import subprocess
import sys

import pytest

from tests.patience import HANGS

SMALL = (
    "data.source.train=16",
    "data.source.held_out=8",
    "data.batch=8",
    "data.mini_batch=8",
    "evolution=none",
    "trainer.max_epochs=1",
    "save_policy=null",
    "selection=last",
    "hydra.run.dir=run",
)
SHARDS = (
    *("trainer=fsdp2", "trainer.accelerator=cpu", "trainer.devices=2"),
    "trainer.strategy.save_distributed_checkpoint=true",
)


@pytest.mark.slow
@pytest.mark.parametrize(
    "more", [(), pytest.param(SHARDS, marks=pytest.mark.multirank)], ids=["file", "shards"]
)
def test_a_run_stops_with_one_line_and_goes_on_when_there_is_room(p2o_train, tmp_path, more):
    # Files may grow to 150 KB: too little for the weights, enough for all else.
    full = subprocess.run(
        [sys.executable, "-m", "p2o.cli.train", *SMALL, *more],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, -1)),
        capture_output=True,
        text=True,
        timeout=HANGS,
    )
    assert full.returncode == 2
    assert "run: no room left on the disk; make room, and resume=auto hydra.run.dir=" in full.stderr
    assert "Traceback" not in full.stderr
    checkpoints = tmp_path / "run" / "checkpoints"
    assert not list(checkpoints.glob("*.ckpt"))

    again = p2o_train(*SMALL, *more, "resume=auto")
    assert again.returncode == 0, again.stderr
    assert {path.name for path in checkpoints.iterdir()} == {"epoch_0000.ckpt", "last.ckpt"}
