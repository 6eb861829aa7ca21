"""Programs side by side: how many, what fails, and what a signal does."""

import os
import subprocess
import sys

import pytest

from p2o.bench.processes import Task, cores, last_line, run_side_by_side
from tests.patience import HANGS


def task(folder, name, program):
    path = folder / f"{name}.py"
    path.write_text(program)
    return Task(name, [str(path)], folder / "logs" / f"{name}.txt")


def test_no_more_run_at_a_time_than_asked_for_and_a_failure_stops_no_other(tmp_path):
    # Each leaves word while it runs, and notes how many there are.
    program = """
import pathlib, sys, time
here = pathlib.Path("{folder}")
mark = here / "running-{name}"
mark.touch()
# The first waits for the second to start, and that one until the first has seen it.
until = time.monotonic() + {patience}
seen = len(list(here.glob("running-*")))
while "{name}" == "a" and seen < 2 and time.monotonic() < until:
    time.sleep(0.02)
    seen = len(list(here.glob("running-*")))
while "{name}" == "b" and not (here / "seen-a").exists() and time.monotonic() < until:
    time.sleep(0.02)
(here / "seen-{name}").write_text(str(seen))
mark.unlink()
print("the last word of {name}")
sys.exit({status})
"""
    same = {"folder": tmp_path, "patience": HANGS}
    tasks = [
        task(tmp_path, name, program.format(name=name, status=status, **same))
        for name, status in (("a", 0), ("b", 3), ("c", 0), ("d", 0), ("e", 0))
    ]
    ended = {}
    run_side_by_side(tasks, 2, lambda one, status, seconds: ended.update({one.name: status}))
    assert ended == {"a": 0, "b": 3, "c": 0, "d": 0, "e": 0}
    seen = [int((tmp_path / f"seen-{name}").read_text()) for name in "abcde"]
    assert seen[0] == 2
    assert max(seen) == 2
    assert last_line(tmp_path / "logs" / "b.txt") == "the last word of b"


def test_output_goes_behind_that_of_an_earlier_start(tmp_path):
    one = task(tmp_path, "one", "print('again')")
    for _ in range(2):
        run_side_by_side([one], 1, lambda *_: None)
    assert one.log.read_text() == "again\nagain\n"


def test_what_breaks_off_lets_those_that_run_save_and_starts_no_more(tmp_path):
    waits = """
import pathlib, signal, sys, time
here = pathlib.Path({folder!r})
def save(number, frame):
    (here / "saved").touch()
    sys.exit(0)
signal.signal(signal.SIGTERM, save)
(here / "ready").touch()
while True:
    time.sleep(0.05)
"""
    ends = """
import pathlib, time
while not (pathlib.Path({folder!r}) / "ready").exists():
    time.sleep(0.05)
"""
    tasks = [
        task(tmp_path, "waits", waits.format(folder=str(tmp_path))),
        task(tmp_path, "ends", ends.format(folder=str(tmp_path))),
        task(tmp_path, "never", f"import pathlib; pathlib.Path({str(tmp_path)!r}, 'no').touch()"),
    ]

    def ended(one, status, seconds):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_side_by_side(tasks, 2, ended)
    assert (tmp_path / "saved").exists()
    assert not (tmp_path / "no").exists()


def test_a_log_without_words_says_so(tmp_path):
    assert last_line(tmp_path / "none.txt") == "no output"
    (tmp_path / "empty.txt").write_text("\n \n")
    assert last_line(tmp_path / "empty.txt") == "no output"


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no such call on this system")
def test_only_the_cores_that_a_process_may_use_count():
    program = "from p2o.bench.processes import cores; print(cores())"
    allowed = os.sched_getaffinity(0)
    assert cores() == len(allowed)
    one = subprocess.run(
        [
            sys.executable,
            "-c",
            f"import os; os.sched_setaffinity(0, {{{min(allowed)}}}); {program}",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert one.stdout == "1\n"
