"""Code that lies, breaks out or makes trouble, and code that is merely unusual."""

import http.server
import os
import platform
import re
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2o.verifiers.deadline import PATIENCE
from p2o.verifiers.sandbox.run import run_tests
from p2o.verifiers.sandbox.seccomp import filter_program
from p2o.verifiers.sandbox.syscalls import RESTRICTED, SYSCALLS
from p2o.verifiers.sandbox.values import decode, encode

pytestmark = [
    pytest.mark.skipif(platform.system() != "Linux", reason="the sandbox is Linux's"),
    pytest.mark.slow,
]
SECONDS = 20.0
"""Generous: machines that run tests are busy."""

LIES = {
    "ends with success": "import sys; sys.exit(0)",
    "ends at once": "import os; os._exit(0)",
    "ends when called": "import os\ndef f(x): os._exit(0)",
    "exits when called": "def f(x): raise SystemExit(0)",
    "equals everything": """
class Any:
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    def __sub__(self, other): return 0
    __rsub__ = __sub__
    def __lt__(self, other): return True
    def __contains__(self, other): return True
    def __getattr__(self, name): return True
def f(x): return Any()
""",
    "is a number that equals everything": """
class Any(int):
    def __eq__(self, other): return True
    def __sub__(self, other): return 0
def f(x): return Any(0)
""",
    "redefines what tests use": """
class AssertionError(Exception): pass
abs = lambda x: 0
all = any = isinstance = lambda *a: True
def f(x): return 0
""",
    "patches builtins": """
import builtins
builtins.AssertionError = ValueError
builtins.abs = lambda x: 0
def f(x): return 0
""",
    "prints a verdict": """
import os, sys
for end in range(64):
    try: os.write(end, b'ready\\n{"reason": ""}')
    except OSError: pass
os._exit(0)
""",
    "forges messages": """
import sys
frame = sys._getframe()
while "peer" not in frame.f_locals: frame = frame.f_back
frame.f_locals["peer"].send({"names": {"__builtins__": {"dict": []}, "abs": 1, "f": 1}})
frame.f_locals["peer"].send({"value": True})
""",
    "hangs up": """
import os
def f(x): os.closerange(0, 64)
""",
    "looks for the tests": """
import gc, sys
def f(x):
    frame = sys._getframe()
    while frame:
        if "tests" in frame.f_locals or "job" in frame.f_locals: return 8
        frame = frame.f_back
    return 8 if any("9876" in o for o in gc.get_objects() if type(o) is dict) else 0
""",
    "looks for the tests in the memory of its neighbours": """
import os
def f(x):
    for number in [os.getppid(), *range(os.getpid() - 3, os.getpid() + 4)]:
        if number == os.getpid(): continue
        try: open(f"/proc/{number}/mem", "rb"); return 8
        except OSError: pass
    return 0
""",
    "changes what it was given": "def f(x): return x",
}


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_does_not_pass(lie):
    tests = "assert f(3) == 8, 9876\nassert abs(f(3) - 8) < 1 and f(3) in [8] and f(3) > 7"
    outcome = run_tests(LIES[lie], tests, SECONDS)
    assert not outcome.passed
    assert outcome.reason


CHANGING = """
from collections import deque
asked = 0
def other(*_):
    global asked
    asked += 1
    return float("inf") if asked % 2 else float("-inf")
class Number(float):
    __float__ = other
class Whole(int):
    __int__ = lambda self: 10**9 * (-1) ** int(other() > 0)
class Holds:
    x = property(other)
    __getitem__ = __float__ = other
class Row(list):
    __iter__ = lambda self: iter([other()])
    __getitem__ = other
class Falls(int):
    __le__ = __lt__ = __ge__ = __gt__ = __eq__ = lambda self, other: True
class Many:
    __iter__ = lambda self: iter([other(), other()][::2])
class Double:
    __iter__ = lambda self: iter([1, 2, 2])
    __len__ = lambda self: 2
class Gives:
    def __iter__(self): return iter([Holds()])
class Long(list):
    __len__ = lambda self: 3
    __iter__ = lambda self: iter(())
    __getitem__ = lambda self, i: 0
class Tall(tuple):
    __len__ = lambda self: 3
class Text(str):
    startswith = endswith = lambda self, *_: True
    __len__ = lambda self: 4
class Real(float):
    real = 8.0
    is_integer = lambda self: True
class Line(deque):
    __len__ = lambda self: 3
class Buffer(bytearray):
    __len__ = lambda self: 3
class Both:
    __int__ = lambda self: 99
    __index__ = lambda self: 50
    __float__ = lambda self: 0.0
def line(x): return Line()
def buffer(x): return Buffer()
def both(x): return Both()
class Table(dict):
    __len__ = lambda self: 1
    __missing__ = lambda self, key: 1
def gives(x): return Gives()
def long(x): return Long()
def same(x): return Long([1, 2, 3, 1, 1])
def tall(x): return Tall()
def text(x): return Text("ab")
def real(x): return Real(7.5)
def table(x): return Table()
class Pair(tuple):
    __le__ = __lt__ = lambda self, other: True
def many(x): return Many()
def double(x): return Double()
def pairs(items): return [Pair(item) for item in items]
def number(x): return Number(8)
def whole(x): return Whole(8)
def holds(x): return Holds()
def row(x): return Row([0])
def sort(items): return [Falls(item) for item in items]
def numbers(items): return [Number(0) for _ in items]
def settle(): return None
"""
QUESTIONS = (
    "assert 7 < number(3) < 9",
    "assert 7 < whole(3) < 9",
    "r = number(3); assert r > 7.99; assert r < 8.01",
    "r = number(3); assert r > 7; settle(); assert r < 9",
    "assert 7 < float(number(3)) and abs(number(3) - 8) < 1",
    "r = numbers([1, 2]); assert r[0] <= r[1]",
    "r = holds(3); assert r.x > 7; assert r.x < 9",
    "r = holds(3); assert 7 < r[0] and r[0] < 9",
    "r = holds(3); assert float(r) > 7 and float(r) < 9",
    "r = row(3); assert r > [7]; assert r < [9]",
    "r = row(3); assert r[0] > 7; assert r[0] < 9",
    "r = many(3); assert all(v > 7 for v in r); assert all(v < 9 for v in r)",
    "r = row(3); assert min(r) > 7 and len(r) == 1; assert max(r) < 9",
    "r = double(3); assert len(r) == 2 and set(r) == {1, 2}",
    "r = double(3); assert set(r) == {1, 2} and len(r) == 2",
    "r = double(3); assert sorted(set(r)) == [1, 2]; assert len(r) == 2",
    "r = gives(3); assert all(p.x > 7 for p in r); assert all(p.x < 9 for p in r)",
    "r = gives(3)\nfor p in r:\n assert p.x > 7\n for q in r: pass\n assert p.x < 9",
    "r = long(3); assert len(r) == 3 and all(a <= b for a, b in zip(r, list(r)[1:]))",
    "r = long(3); assert r[0] == 0",
    "assert set(same(3)) == {1, 2, 3} and len(same(3)) == 3",
    "r = tall(3); assert len(r) == 3 and all(v % 2 == 0 for v in r)",
    "r = text(3); assert len(r) == 4",
    "r = text(3); assert r.endswith('ba')",
    "r = real(3); assert r.real == 8 and 7 < r < 8",
    "r = real(3); assert r.is_integer() and 7 < r < 8",
    "r = line(3); assert len(r) == 3",
    "r = buffer(3); assert len(r) == 3",
    "r = both(3); assert int(r) > 7 and float(r) < 9",
    "r = both(3); assert float(r) < 9 and int(r) > 7",
    "r = both(3); assert int(r) > 90 and [0] * 50 == [0] * r",
    "d = table(3); assert d['a'] == 1 and len(d) == 1",
    "assert bool(table(3))",
    "r = pairs([(3, 1), (1, 2)]); assert r[0] <= r[1] and r[0] == (3, 1)",
    "r = sort([3, 1, 2]); assert all(a <= b for a, b in zip(r, r[1:])) and sum(r) == 6",
)


@pytest.mark.parametrize("tests", QUESTIONS)
def test_an_object_is_one_thing_for_all_questions(tests):
    outcome = run_tests(CHANGING, tests, SECONDS)
    assert not outcome.passed
    assert "Error" in outcome.reason


def test_an_object_may_change_when_something_is_done():
    code = """
import enum
class Counter:
    n = 0
    def more(self): self.n += 1
    def each(self, call):
        for _ in range(2): self.more(); call(self)
    def __getitem__(self, i): return self.n + i
class Items(list): pass
class Bag:
    def __init__(self): self.items = []
    def add(self, item): self.items.append(item)
    def __iter__(self): yield from self.items
    def __len__(self): return len(self.items)
def drain(bag):
    while bag.items: yield bag.items.pop(0)
def numbers(): yield from range(2)
class Color(enum.IntEnum): RED = 2; BLUE = 3
class Name(str, enum.Enum): ANN = "ann"
class Celsius(float):
    def fahrenheit(self): return self * 1.8 + 32
items = Items([1])
def grow(): items.append(2)
def get(): return items
def red(): return Color.RED
def ann(): return Name.ANN
def warm(x): return Celsius(x)
"""
    tests = """
c = Counter(); assert c.n == 0 and c[1] == 1
c.more(); assert c.n == 1 and c[1] == 2
seen = []; c.each(lambda counter: seen.append(counter.n)); assert seen == [2, 3]
r = get(); assert r == [1]; grow(); assert r == [1, 2] and len(r) == 2
assert red() == 2 and red() < Color.BLUE and red().name == "RED" and int(red()) == 2
assert red() == red() and red() in [2]
g = numbers(); assert list(g) == [0, 1] and list(g) == []
b = Bag(); b.add(3); b.add(4); assert list(b) == [3, 4] and list(b) == [3, 4] and 4 in b
assert [(x, y) for x in b for y in b] == [(3, 3), (3, 4), (4, 3), (4, 4)]
b.add(5); assert max(b) == 5 and sorted(b) == [3, 4, 5]
assert len(b) == 3 and set(b) == {3, 4, 5} and len(b) == 3 and len(list(b)) == 3
i = iter(b); assert next(i) == 3 and len(b) == 3 and list(i) == [4, 5] and len(b) == 3
d = drain(b)
for x in d: assert len(b) == 5 - x
for x in (3, 4): b.add(x)
d = drain(b); assert len(b) == 2 and list(b) == [3, 4]; assert next(d) == 3 and len(b) == 1
assert ann() == "ann" and ann().value == "ann"
assert 31.9 < warm(0).fahrenheit() < 32.1 and warm(3) > warm(2) and warm(float("nan")) != 1
"""
    outcome = run_tests(code, tests, SECONDS)
    assert outcome.passed, outcome.reason


def test_dates_ranges_and_slices_cross_as_values():
    code = """
from datetime import date, timedelta
def day(): return date(2024, 1, 2)
def days(): return timedelta(days=2)
def numbers(n): return range(n)
class Row:
    def __init__(self, items): self.items = items
    def __getitem__(self, place): return self.items[place]
class Rounded:
    def __int__(self): return 8
    def __float__(self): return 7.6
"""
    tests = """
from datetime import date, timedelta
assert day() == date(2024, 1, 2) and days() == timedelta(days=2) and numbers(3) == range(3)
assert day() != date(2024, 1, 3) and list(numbers(2)) == [0, 1]
r = Row([1, 2, 3]); assert r[1:] == [2, 3] and r[::-1] == [3, 2, 1] and list(r) == [1, 2, 3]
r = Rounded(); assert int(r) == 8 and float(r) == 7.6
"""
    outcome = run_tests(code, tests, SECONDS)
    assert outcome.passed, outcome.reason


def test_long_integers_cross_in_no_time():
    tests = "assert power(10**6) == 10**(10**6) and power(3, -1) == -1000 and half(10**6) < 1"
    code = """
from fractions import Fraction
def power(x, sign=1): return sign * 10**x
def half(x): return Fraction(1, 10**x)
"""
    outcome = run_tests(code, tests, 3.0)
    assert outcome.passed, outcome.reason


def test_a_process_that_ends_is_no_exception_that_tests_expect():
    code = "import os\ndef f(): os._exit(0)"
    tests = "try: f()\nexcept BaseException: pass\nelse: assert False"
    assert "ended the process" in run_tests(code, tests, SECONDS).reason


ATTEMPTS = {
    "read a file": "open({file!r})",
    "list a folder": "os.listdir({folder!r})",
    "read the environment of who started it": "open(f'/proc/{{os.getppid()}}/environ')",
    "write a file": "open({folder!r} + '/new', 'w')",
    "write where it is": "open('new', 'w')",
    "append to a file": "os.open({file!r}, os.O_APPEND | os.O_WRONLY)",
    "delete a file": "os.remove({file!r})",
    "rename a file": "os.rename({file!r}, {file!r} + '2')",
    "make a file readable": "os.chmod({file!r}, 0o777)",
    "make a link": "os.symlink('/', {folder!r} + '/link')",
    "connect": "import socket; socket.create_connection(('127.0.0.1', {port}), 1)",
    "connect by number": "import ctypes; check(ctypes.CDLL(None).socket(2, 1, 0))",
    "start a process": "os.fork()",
    "start a program": "import subprocess; subprocess.run(['/bin/true'], check=True)",
    "become a program": "os.execv('/bin/true', ['true'])",
    "signal who started it": "os.kill(os.getppid(), 0)",
    "have a signal sent": "import fcntl; r, w = 0, 1; fcntl.fcntl(0, 8, os.getppid())",
    "trace another": "import ctypes; check(ctypes.CDLL(None).ptrace(16, os.getppid(), 0, 0))",
    "mount": "import ctypes; check(ctypes.CDLL(None).mount(b'/', b'/tmp', b'', 4096, 0))",
    "raise its limits": "import resource as r; r.setrlimit(r.RLIMIT_CPU, (99, 99))",
    "leave its session": "os.setsid()",
    "make memory that is a file": "os.memfd_create('x')",
    "ask for all memory": "bytearray(10**11)",
}


def test_attempts_to_break_out_fail_and_leave_no_trace(tmp_path):
    asked = []

    class Server(http.server.BaseHTTPRequestHandler):
        def setup(self):
            asked.append(self.client_address)
            super().setup()

    server = http.server.HTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    file = tmp_path / "file"
    file.write_text("secret")
    os.chmod(file, 0o644)
    before = file.stat()
    code = "import os\ndef check(result):\n    if result < 0: raise OSError('no')\n"
    for number, attempt in enumerate(ATTEMPTS.values()):
        line = attempt.format(file=str(file), folder=str(tmp_path), port=server.server_port)
        code += f"def f{number}(): {line}\n"
    code += f"attempts = [{', '.join(f'f{n}' for n in range(len(ATTEMPTS)))}]\n"
    # One run for all: which attempts came through is what the tests say.
    tests = (
        "through = []\n"
        "for number, attempt in enumerate(attempts):\n"
        "    try: attempt()\n"
        "    except (OSError, ValueError, MemoryError): continue\n"
        "    through.append(number)\n"
        "assert not through, through\n"
    )
    outcome = run_tests(code, tests, 2 * SECONDS)
    server.shutdown()
    assert outcome.passed, outcome.reason
    assert not asked
    assert file.read_text() == "secret"
    assert (file.stat().st_mode, os.listdir(tmp_path)) == (before.st_mode, ["file"])


HANGS = [
    "while True: print('x' * 10**6)",
    "import threading\nwhile True: threading.Thread(target=print).start()",
    "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass",
    "import signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, range(1, 64))\nwhile True: pass",
    "import time\ntime.sleep(99)",
]


def test_hangs_end_in_time_side_by_side_and_nothing_is_left():
    before, started = _children(), time.monotonic()
    with ThreadPoolExecutor(len(HANGS)) as threads:
        outcomes = list(threads.map(lambda code: run_tests(code, "assert True", 2.0), HANGS))
    assert not any(outcome.passed for outcome in outcomes)
    # Whatever else this machine does.
    assert time.monotonic() - started < 2.0 * PATIENCE
    assert _children() <= before


def test_memory_is_bounded_also_that_of_the_judge():
    code = "def f():\n    x = []\n    while True: x.append('x' * 10**6)"
    assert "MemoryError" in run_tests(code, "f()\nassert True", SECONDS).reason
    code = "def f(): return ['x' * 10**6] * 60"
    assert "too long" in run_tests(code, "f()\nassert True", SECONDS).reason


def test_nothing_outlives_the_program_that_started_it():
    program = (
        "from p2o.verifiers.sandbox.run import run_tests\n"
        "run_tests('while True: pass', 'assert True', 300)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program]) as main:
        deadline = time.monotonic() + 120
        while len(_children(main.pid)) < 2 and time.monotonic() < deadline:
            time.sleep(0.05)
        children = _children(main.pid)
        time.sleep(1.0)
        main.send_signal(signal.SIGKILL)
    assert len(children) == 2
    while any(map(_alive, children)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(_alive, children))


def test_many_ways_to_answer_are_understood():
    code = """
from collections import Counter, OrderedDict, deque, namedtuple
from dataclasses import dataclass
from fractions import Fraction
import threading

class Stack:
    def __init__(self, items=()): self.items, self.number = list(items), 12
    def push(self, item): self.items.append(item)
    def pop(self): return self.items.pop()
    def __len__(self): return len(self.items)
    def __eq__(self, other): return self.items == other.items

@dataclass
class Point:
    x: int
    y: "int"
    def __add__(self, other): return Point(self.x + other.x, self.y + other.y)

class Wrong(ValueError): pass
def half(x): return Fraction(x, 2)
def letters(word): return Counter(word)
def sort(items): items.sort()
def numbers(n): yield from range(n)
def refuse(x): raise Wrong(f"no {x}")
def apply(function, x): return function(x) + 1
def counted(): return namedtuple("Counted", "count")(5)
class Cache(OrderedDict):
    def get(self, key): return self[key] if key in self else -1
def pair(): return namedtuple("Pair", "a b")(1, 2)
def power(): return 7**9000
def in_thread():
    out = []
    thread = threading.Thread(target=lambda: out.append(1))
    thread.start(); thread.join()
    return deque(out)
LIMIT = 5
if __name__ == "__main__": raise SystemExit(input())
"""
    tests = """
from collections import Counter, deque
from fractions import Fraction
stack = Stack(); stack.push(3); stack.push([1, (2,)])
assert len(stack) == 2 and stack.pop() == [1, (2,)] and stack.items == [3] and stack.number == 12
assert Stack([1]) == Stack([1]) and Stack([1]) != Stack([2])
point = Point(1, 2) + Point(3, 4)
assert (point.x, point.y) == (4, 6)
point.x = 5
assert point == Point(5, 6)
assert half(1) == Fraction(1, 2) and half(1) + half(1) == 1
assert letters("aab") == {"a": 2, "b": 1} == Counter("aab") and letters("aab")["a"] == 2
items = [3, 1, 2]; assert sort(items) is None and items == [1, 2, 3]
assert list(numbers(3)) == [0, 1, 2] and sum(numbers(4)) == 6 and 2 in numbers(5)
try: refuse(3)
except ValueError as error: assert str(error) == "no 3"
else: assert False
assert apply(lambda x: 2 * x, 4) == 9
assert letters("aab")["z"] == 0 and len(letters("aab")) == 2 and "b" in letters("aab")
assert counted().count == 5 and counted().index(5) == 0 and str(counted()) == "Counted(count=5)"
cache = Cache(); cache["a"] = 1; assert cache.get("b") == -1 and cache["a"] == 1 and len(cache) == 1
assert pair() == (1, 2) and pair().a == 1 and power() == 7**9000
assert in_thread() == deque([1]) and LIMIT == 5
def check(candidate): assert candidate(4) == 2
check(half)
"""
    outcome = run_tests(code, tests, SECONDS)
    assert outcome.passed, outcome.reason


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
    | st.binary() | st.fractions() | st.decimals(allow_nan=False)
    | st.complex_numbers(allow_nan=False) | st.frozensets(st.integers()),
    lambda inner: st.lists(inner) | st.lists(inner).map(tuple)
    | st.dictionaries(st.integers() | st.text() | st.tuples(st.text()), inner),
    max_leaves=8,
)  # fmt: skip


@given(plain)
def test_plain_values_come_back_as_they_were(value):
    back = decode(encode(value))
    assert back == value
    assert type(back) is type(value)


def test_numbers_of_system_calls_are_those_of_the_kernel():
    headers = (
        Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
        Path("/usr/include/asm-generic/unistd.h"),
    )
    if not all(header.exists() for header in headers):
        pytest.skip("the kernel's headers are not installed")
    for column, header in enumerate(headers):
        found = re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", header.read_text())
        numbers = {name: int(number) for name, number in found}
        numbers.setdefault("newfstatat", numbers.get("fstatat", -1))
        for name, row in {**SYSCALLS, **RESTRICTED}.items():
            assert row[column] == numbers.get(name), name


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_jumps_of_the_filter_stay_in_it(machine):
    program = filter_program(machine)
    for place, (code, yes, no, _) in enumerate(program):
        if code & 0x07 == 0x05:
            assert place + max(yes, no) + 1 < len(program)
    assert program[-1] == (0x06, 0, 0, 0x00050001)


def _children(pid: int | None = None) -> set[int]:
    own = os.getpid() if pid is None else pid
    tasks = Path(f"/proc/{own}/task").glob("*/children")
    return {int(child) for task in tasks for child in task.read_text().split()}


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.parametrize(
    ("code", "tests"),
    [
        ("sieve = [True] * (6 * 10**6)\ndef f(n): return sieve[n]", "assert f(7)"),
        ("loop = []\nloop.append(loop)\ndef f(n): return n", "assert f(7) == 7"),
        ("def f(nums): nums.sort()", "x = [3, 1, 2]\nf(nums=x)\nassert x == [1, 2, 3]"),
        ("def f(a, d): d[a] = 1", "x = {}\nf('b', d=x)\nassert x == {'b': 1}"),
    ],
    ids=["a large global", "a cyclic one", "a keyword's list", "a keyword's dict"],
)
def test_right_code_is_right_whatever_it_keeps_and_however_it_is_called(code, tests):
    assert run_tests(code, tests, SECONDS).reason == ""
