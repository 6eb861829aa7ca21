import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from math_data import prompt_of

from p2o.errors import UserError
from p2o.verifiers import Status
from p2o.verifiers.math_verify_alone import MathVerifyAlone
from p2o.verifiers.worker_pool import Failure, KillablePool
from tests.patience import HANGS

pytestmark = pytest.mark.slow

FOR_EVER = 3600.0
"""Seconds of an item that is stopped, or these tests would not end."""


@pytest.fixture
def make_pool():
    pools = []

    def make(**options):
        pools.append(KillablePool("worker_functions:act", **options))
        return pools[-1]

    yield make
    for pool in pools:
        pool.close()


@pytest.mark.parametrize("workers", [1, 2])
def test_a_hang_and_a_crash_cost_their_own_item_only(make_pool, workers):
    items = [
        ("ok", 1),
        ("sleep", FOR_EVER),
        ("ok", 2),
        ("exit", 3),
        ("ok", 4),
        ("raise", "bad"),
        ("ok", 5),
    ]
    pool = make_pool(workers=workers)
    results = pool.map(items, seconds=1.0)
    assert [r for r in results if not isinstance(r, Failure)] == [1, 2, 4, 5]
    hang, crash, error = (results[index] for index in (1, 3, 5))
    assert hang.timeout
    assert not crash.timeout
    assert "exit code 3" in crash.reason
    assert "ValueError: bad" in error.reason


def test_payloads_larger_than_a_pipe_pass(make_pool):
    text = "x" * 5_000_000
    assert make_pool().map([("ok", text)] * 2, seconds=10) == [text, text]


def test_workers_are_replaced_after_their_share_of_items(make_pool):
    pids = make_pool(recycle=2).map([("pid", None)] * 6, seconds=10)
    assert len(set(pids)) == 3


def test_a_worker_that_wants_too_much_memory_loses_its_item_only(make_pool):
    pool = make_pool(memory=2**28)
    greedy, modest = pool.map([("allocate", 2**30), ("allocate", 2**20)], seconds=10)
    assert "MemoryError" in greedy.reason
    assert modest == 2**20


def test_works_outside_the_main_thread(make_pool):
    results, pool = [], make_pool()
    thread = threading.Thread(
        target=lambda: results.extend(pool.map([("sleep", FOR_EVER), ("ok", 1)], seconds=0.5))
    )
    thread.start()
    thread.join(FOR_EVER)
    assert results[0].timeout
    assert results[1] == 1


def test_a_call_that_was_broken_off_leaves_nothing_to_the_next(make_pool):
    pool = make_pool()
    with pytest.raises((AttributeError, TypeError), match="pickle"):
        pool.map([lambda: None], seconds=5)
    assert pool.map([("ok", 1), ("ok", 2)], seconds=5) == [1, 2]


def test_workers_do_not_import_the_main_program(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(
        "import os, sys, multiprocessing\n"
        "if multiprocessing.parent_process(): os._exit(9)\n"
        "from p2o.verifiers.worker_pool import KillablePool\n"
        "print(KillablePool('builtins:eval').map(['1+1'], 10))\n"
    )
    done = subprocess.run(
        [sys.executable, program], capture_output=True, text=True, timeout=FOR_EVER, check=False
    )
    assert done.stdout.strip() == "[2]", done.stderr


def test_a_hanging_worker_ends_with_a_killed_main_process():
    program = (
        "from p2o.verifiers.worker_pool import KillablePool\n"
        "pool = KillablePool('builtins:eval')\n"
        "print(pool.map(['__import__(\"os\").getpid()'], 10)[0], flush=True)\n"
        "pool.map(['sum(1 for _ in iter(int, 1))'], 300)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True
    ) as main:
        assert main.stdout is not None
        worker = int(main.stdout.readline())
        time.sleep(0.5)
        main.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 60
    while _alive(worker) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _alive(worker)


def test_a_signal_to_all_processes_costs_no_verdict_and_the_end_is_not_waited_for():
    """What ``timeout``, a scheduler and Ctrl-C send, at the start of a worker and at its work."""
    program = (
        "import os, signal\n"
        "from p2o.verifiers.worker_pool import KillablePool\n"
        "for number in (signal.SIGINT, signal.SIGTERM):\n"
        "    signal.signal(number, lambda *_: None)\n"
        "def later(seconds):\n"
        "    import threading, time\n"
        "    def send():\n"
        "        for _ in range(20):\n"
        "            time.sleep(seconds / 20)\n"
        "            for number in (signal.SIGINT, signal.SIGTERM):\n"
        "                os.killpg(0, number)\n"
        "    threading.Thread(target=send).start()\n"
        "later(2)\n"
        "pool = KillablePool('builtins:eval')\n"
        "work = 'sum(i * i for i in range(10 ** 6))'\n"
        "found = pool.map([work] * 40, 300)\n"
        "print(len(found), set(found))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        start_new_session=True,
        timeout=HANGS,
    )
    expected = sum(i * i for i in range(10**6))
    assert (done.stdout, done.returncode) == (f"40 {{{expected}}}\n", 0), done.stderr


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # A zombie waits for whoever adopted it and does nothing.
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


def test_no_items_start_no_worker(make_pool):
    pool = make_pool()
    assert pool.map([], seconds=1) == []
    assert not pool._workers


@pytest.mark.parametrize(
    ("function", "warm_up", "why"),
    [
        ("no_such_module:act", None, "ModuleNotFoundError: No module named 'no_such_module'"),
        ("worker_functions:no_such_function", None, "AttributeError: .*no_such_function"),
        ("worker_functions:act", "fail", "OSError: no such library"),
    ],
)
def test_a_worker_that_does_not_start_says_why(function, warm_up, why):
    with pytest.raises(UserError, match=f"{function} does not start: {why}"):
        KillablePool(function, warm_up=warm_up).map([("ok", 1)], seconds=1)


def test_warming_up_counts_against_no_deadline_also_after_a_kill():
    pool = KillablePool("worker_functions:act", warm_up="load")
    items = [("loaded", None), ("work", FOR_EVER), ("loaded", None)]
    first, killed, again = pool.map(items, seconds=0.2)
    pool.close()
    assert (first, again) == (1, 1)
    assert killed.timeout


def test_a_library_is_there_before_the_first_deadline_begins():
    # Importing it takes seconds of processor time.
    verifier = MathVerifyAlone(seconds=0.4)
    [score] = verifier.score(["\\boxed{x + x}"], [prompt_of("2x")])
    verifier.pool.close()
    assert (score.reward, score.status) == (1.0, Status.OK)


@pytest.fixture
def core():
    """A processor of which a process gets a quarter at most."""
    own = min(os.sched_getaffinity(0))
    program = f"import os; os.sched_setaffinity(0, {{{own}}})\nwhile True: pass"
    busy = [subprocess.Popen([sys.executable, "-c", program]) for _ in range(3)]
    yield own
    for one in busy:
        one.kill()
        one.wait()


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="Linux pins processes to a core")
def test_waiting_for_a_processor_does_not_count(make_pool, core):
    pool = make_pool()
    started = time.monotonic()
    results = pool.map([("pin", core), ("work", 0.3)], seconds=0.5)
    assert time.monotonic() - started > 0.5
    assert results[1] == 0.3


def test_a_worker_that_sleeps_is_stopped_and_so_is_one_that_gets_nowhere(make_pool):
    [asleep] = make_pool().map([("sleep", FOR_EVER)], seconds=0.3)
    assert asleep.timeout
    # Neither works nor sleeps for long: the clock ends it.
    [naps] = make_pool(patience=3.0).map([("nap", FOR_EVER)], seconds=0.3)
    assert naps.timeout


def test_a_pool_may_be_asked_by_several_threads(make_pool):
    pool, results = make_pool(), {}
    threads = [
        threading.Thread(target=lambda n=n: results.update({n: pool.map([("ok", n)] * 20, 10)}))
        for n in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {n: [n] * 20 for n in range(4)}
