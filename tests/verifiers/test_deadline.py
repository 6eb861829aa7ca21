"""What counts against a deadline, seen from real processes."""

import signal
import subprocess
import sys
import time

import pytest

from p2o.verifiers.deadline import Deadline, Usage, usage_of

pytestmark = pytest.mark.slow

IN_A_THREAD = """
import threading
def work():
    while True: pass
threading.Thread(target=work).start()
"""
PROGRAMS = {
    "works": "while True: pass",
    "sleeps": "import time; time.sleep(99)",
    "works in a thread": IN_A_THREAD,
}


@pytest.fixture
def start():
    started = []

    def run(program):
        process = subprocess.Popen([sys.executable, "-c", program])
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.wait()


def until_missed(deadline, most=600.0):
    end = time.monotonic() + most
    while not deadline.missed():
        assert time.monotonic() < end
        time.sleep(deadline.pause)


@pytest.mark.parametrize("kind", PROGRAMS)
def test_work_and_sleep_count(start, kind):
    process, started = start(PROGRAMS[kind]), time.monotonic()
    until_missed(Deadline([process.pid], 0.5))
    assert time.monotonic() - started >= 0.5
    usage = usage_of(process.pid)
    assert usage is not None
    assert usage.asleep == (kind == "sleeps")
    if kind != "sleeps":
        assert usage.seconds >= 0.45


def test_two_processes_share_their_seconds(start):
    # One works while the other waits for it, as code and its tests do.
    pids = [start(PROGRAMS[kind]).pid for kind in ("works", "sleeps")]
    before = usage_of(pids[0])
    until_missed(Deadline(pids, 0.5))
    after = usage_of(pids[0])
    assert before is not None
    assert after is not None
    assert after.seconds - before.seconds > 0.4


@pytest.mark.parametrize("how", ["stopped", "ended"])
def test_a_process_that_does_nothing_any_more_misses_its_deadline(start, how):
    process = start(PROGRAMS["works"])
    deadline = Deadline([process.pid], 0.3)
    process.send_signal(signal.SIGSTOP if how == "stopped" else signal.SIGKILL)
    until_missed(deadline)


def test_patience_ends(monkeypatch):
    # As on a machine that never lets the process run.
    never = Usage(0.0, asleep=False)
    monkeypatch.setattr("p2o.verifiers.deadline.usage_of", lambda pid: never)
    started = time.monotonic()
    until_missed(Deadline([1], 0.1, patience=5.0))
    assert time.monotonic() - started >= 0.5


def test_without_a_word_from_the_system_all_time_counts(monkeypatch):
    monkeypatch.setattr("p2o.verifiers.deadline.usage_of", lambda pid: None)
    started = time.monotonic()
    until_missed(Deadline([1], 0.2))
    assert time.monotonic() - started >= 0.2
