"""A rank that has started others says why it ends, whatever these do meanwhile."""

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

LEADER = """
import os
import subprocess
import sys
import time
from types import SimpleNamespace

from lightning.fabric.strategies.launchers.subprocess_script import _ChildProcessObserver
from p2o.running.other_ranks import leading, let_others_end

started = [subprocess.Popen([sys.executable, "-c", sys.argv[1]])]
launcher = SimpleNamespace(procs=started)
trainer = SimpleNamespace(strategy=SimpleNamespace(launcher=launcher))
# Lightning's own, which looks often here.
_ChildProcessObserver(os.getpid(), started, sleep_period=0.05).start()
if sys.argv[2] == "goes on":
    let_others_end(trainer)
    launcher.procs[0].wait()
    time.sleep(1)
    print("saved")
else:
    with leading(trainer):
        try:
            raise RuntimeError("a bit flipped")
        finally:
            time.sleep(float(sys.argv[2]))
"""


@pytest.fixture
def lead():
    def lead(rank, then):
        command = [sys.executable, "-c", LEADER, rank, then]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=100)

    return lead


def test_it_goes_on_after_others_have_ended_with_an_error(lead):
    result = lead("raise SystemExit(3)", "goes on")
    assert (result.returncode, result.stdout) == (0, "saved\n"), result.stderr


def test_it_stops_others_that_wait_and_says_what_failed(lead):
    result = lead("import time; time.sleep(1000)", "0")
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1] == "RuntimeError: a bit flipped"


def test_it_names_the_one_that_has_ended(lead):
    result = lead("import os, time; time.sleep(0.5); os.kill(os.getpid(), 9)", "0")
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1] == "p2o.errors.PeerError: rank 1 was ended by signal 9"


def test_lightning_ends_it_while_it_is_at_work(lead):
    assert lead("raise SystemExit(3)", "30").returncode == -9
