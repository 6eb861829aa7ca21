"""When one rank fails, all stop, and the run says why."""

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.multirank]

RUN = (
    "data.source.train=16",
    "data.source.held_out=4",
    "data.batch=8",
    "data.mini_batch=8",
    "trainer.max_epochs=2",
    "evolution=none",
    "trainer=ddp",
    "trainer.accelerator=cpu",
    "trainer.devices=2",
)

FAILING = """
import os
import signal
from lightning.pytorch import Callback
from p2o.errors import EngineError
from p2o.rollout.hf import HFEngine

RANK = int(os.environ.get("LOCAL_RANK", 0))

class Engine(HFEngine):
    def __init__(self, rank, error, **more):
        super().__init__(**more)
        self.rank, self.error, self.calls = rank, error, 0

    def generate(self, *arguments):
        self.calls += 1
        if self.calls == 3 and self.rank == RANK:
            raise {"engine": EngineError, "memory": MemoryError}[self.error]("no more of it")
        return super().generate(*arguments)

class End(Callback):
    def __init__(self, hangs):
        self.hangs = hangs

    def on_after_backward(self, trainer, pl_module):
        if trainer.global_step == 1:
            if RANK == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            elif self.hangs:
                os.kill(os.getpid(), signal.SIGSTOP)

class Kill(Callback):
    def on_train_epoch_end(self, trainer, pl_module):
        if RANK == 1:
            os.kill(os.getpid(), signal.SIGKILL)

class Fail(Callback):
    def __init__(self, rank):
        self.rank = rank

    def on_after_backward(self, trainer, pl_module):
        if self.rank == RANK and trainer.global_step == 1:
            raise RuntimeError("a bit flipped")
"""


@pytest.fixture
def run(p2o_train, tmp_path):
    (tmp_path / "failing.py").write_text(FAILING)

    def run(*overrides):
        return p2o_train(*RUN, *overrides, f"hydra.run.dir={tmp_path}/run")

    return run


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        ("engine", 4, "error: no more of it (on rank 1)"),
        ("memory", 1, "error: rank 1 failed: MemoryError: no more of it"),
    ],
)
def test_sampling_that_fails_on_one_rank_stops_all_with_its_error(
    run, tmp_path, error, status, said
):
    result = run("rollout._target_=failing.Engine", "+rollout.rank=1", f"+rollout.error={error}")
    assert result.returncode == status, result.stderr
    assert said in result.stderr
    # All stopped at the same place, so that what was done is saved.
    assert list((tmp_path / "run" / "checkpoints").glob("*.ckpt"))


@pytest.mark.parametrize("rank", [0, 1])
def test_an_update_that_fails_on_one_rank_stops_all(run, rank):
    result = run("+callbacks.fail._target_=failing.Fail", f"+callbacks.fail.rank={rank}")
    assert result.returncode != 0
    assert "a bit flipped" in result.stderr


def test_a_rank_that_is_killed_is_named_in_one_line(run, tmp_path):
    result = run("+callbacks.kill._target_=failing.Kill")
    assert "Traceback" not in result.stderr
    # Lightning looks every five seconds, and ends rank 0 if it is the first to see it.
    said = f"error: rank 1 was ended by signal 9; resume=auto hydra.run.dir={tmp_path}/run goes on"
    assert result.returncode == -9 or (result.returncode == 1 and said in result.stderr)


@pytest.mark.parametrize("hangs", [False, True])
def test_no_rank_outlives_rank_zero(run, hangs):
    # This waits for the output's end, so for all processes that write to it.
    result = run("+callbacks.end._target_=failing.End", f"+callbacks.end.hangs={hangs}")
    assert result.returncode == -9
