"""Runs and sweeps that something else starts: torchrun, joblib, submitit."""

import json
import os
import subprocess
import sys

import pytest

from tests.patience import HANGS
from tests.train.test_two_ranks import TWO

SMALL = (
    "data.source.train=16",
    "data.source.held_out=4",
    "data.batch=8",
    "data.mini_batch=8",
    "trainer.max_epochs=1",
    "evolution=none",
)


@pytest.fixture
def torchrun(tmp_path):
    """Run the command line on two ranks of torchrun's."""

    def run(*arguments):
        launcher = (sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2")
        return subprocess.run(
            [*launcher, "--standalone", "-m", "p2o.cli.train", *SMALL, *TWO, *arguments],
            cwd=tmp_path,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            timeout=HANGS,
        )

    return run


@pytest.mark.slow
@pytest.mark.multirank
def test_torchrun_starts_the_ranks(torchrun, tmp_path):
    result = torchrun("trainer=fsdp2", "hydra.run.dir=runs/mine")
    assert result.returncode == 0, result.stderr
    summary = json.loads((tmp_path / "runs" / "mine" / "summary.json").read_text())
    assert summary["ledger"]["train"]["rollouts"] == 16 * 6
    # Each rank sampled its half, and one of them reports.
    assert result.stdout.count("run directory:") == 1


@pytest.mark.slow
@pytest.mark.multirank
def test_a_rank_that_finds_no_checkpoint_ends_all_in_one_line(p2o_train, tmp_path, monkeypatch):
    assert p2o_train(*SMALL, "hydra.run.dir=before").returncode == 0
    [kept] = (tmp_path / "before" / "checkpoints").glob("epoch_*.ckpt")
    # As a machine that does not see the file yet.
    monkeypatch.setenv("CHECKPOINT_OF_0", str(kept))
    found = "ckpt_path='${oc.decode:${oc.env:CHECKPOINT_OF_${oc.env:LOCAL_RANK,0},null}}'"
    result = p2o_train(
        *SMALL, *TWO, "trainer=ddp", "trainer.max_epochs=2", found, "hydra.run.dir=after"
    )
    assert result.returncode == 2, result.stderr
    said = f"rank 0 goes on from {kept} with "
    assert any(line.startswith(f"error: {said}") for line in result.stderr.splitlines())
    assert "rank 1 from no checkpoint; start again" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.slow
def test_a_folder_named_by_the_clock_is_refused_to_ranks_started_one_by_one(torchrun):
    result = torchrun("trainer=ddp")
    assert result.returncode != 0
    assert "add hydra.run.dir=runs/NAME" in result.stderr


@pytest.mark.slow
@pytest.mark.parametrize("devices", ["2", "auto"])
def test_a_sweep_over_several_devices_is_refused(p2o_train_anew, devices):
    result = p2o_train_anew("-m", *SMALL, "trainer=ddp", f"trainer.devices={devices}", "seed=0,1")
    assert result.returncode == 2
    assert f"trainer.devices={devices} with --multirun: every rank would run" in result.stderr


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["joblib", "submitit_local"])
def test_a_sweep_runs_side_by_side(p2o_train_anew, tmp_path, launcher):
    result = p2o_train_anew(
        "-m", f"hydra/launcher={launcher}", *SMALL, "seed=0,1", "hydra.sweep.dir=sweep"
    )
    assert result.returncode == 0, result.stderr
    summaries = list((tmp_path / "sweep").glob("*/summary.json"))
    assert len(summaries) == 2
