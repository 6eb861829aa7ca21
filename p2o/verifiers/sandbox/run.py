"""Starts the two processes, and ends them."""

import json
import math
import os
import platform
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from p2o.verifiers.deadline import Deadline

from .judge import READY

PROGRAM = (
    "import sys; sys.path.append({path!r}); from sandbox.{role} import main; sys.path.pop(); "
    "main({end}, {seconds}, {megabytes})"
)


ENVIRONMENT = {"PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"}
"""Sets have the same order in every run."""
KEPT = ("LD_LIBRARY_PATH",)
"""Some interpreters do not start without it."""


class SandboxError(Exception):
    """The sandbox did not come up, or is not closed; nothing was run."""


@dataclass(frozen=True)
class CodeOutcome:
    """What came of code and its tests.

    Attributes:
        passed: Whether all tests ran to their end.
        reason: Why not, in one line.
    """

    passed: bool
    reason: str = ""


def run_tests(
    code: str, tests: str, seconds: float, megabytes: int = 512, strict: bool = True
) -> CodeOutcome:
    """Run tests of code that nobody has read.

    Args:
        code: Python, standard library only.
        tests: Python with assert statements, which sees the names that the code defines.
        seconds: That the two processes may work or sleep, see `Deadline`.
        megabytes: Of address space of each process.
        strict: Whether to run nothing when the kernel cannot close the processes off.

    Raises:
        SandboxError: The sandbox failed; code that fails, hangs or dies does not raise.
    """
    if platform.system() != "Linux":
        raise SandboxError(f"the sandbox needs Linux, this is {platform.system()}")
    job = json.dumps({"code": code, "tests": tests, "strict": strict})
    near, far = socket.socketpair()
    with near, far:
        submission = _start("submission", far, seconds, megabytes)
        try:
            judge = _start("judge", near, seconds, megabytes)
        except BaseException:
            _end(submission)
            raise
    try:
        late = not _ends(judge, job, Deadline([judge.pid, submission.pid], seconds))
    finally:
        # The judge first: else it takes the end of the code for the code's own doing.
        _end(judge)
        _end(submission)
    # What has been read so far is kept.
    return _read(*judge.communicate(), f"took longer than {seconds:g} seconds" if late else "")


def _ends(process: "subprocess.Popen[str]", job: str, deadline: Deadline) -> bool:
    """Give a process its job, and say whether it ends in time."""
    given: str | None = job
    while True:
        try:
            process.communicate(given, deadline.pause)
        except subprocess.TimeoutExpired:
            if deadline.missed():
                return False
            given = None
        else:
            return True


def _read(output: str, errors: str, late: str) -> CodeOutcome:
    head, ready, verdict = output.partition(READY.decode())
    if not ready:
        missing = json.loads(head)["missing"] if head else []
        last = "; ".join(missing) or late or (errors.splitlines() or ["it died"])[-1]
        raise SandboxError(f"the sandbox is not closed: {last}" if missing else last)
    if not verdict:
        return CodeOutcome(False, late or "the tests were broken off: out of time or memory")
    reason = json.loads(verdict)["reason"]
    return CodeOutcome(not reason, reason)


def _start(
    role: str, end: socket.socket, seconds: float, megabytes: int
) -> "subprocess.Popen[str]":
    program = PROGRAM.format(
        path=str(Path(__file__).parents[1]),
        role=role,
        end=end.fileno(),
        # The deadline is what is to end it; this is for what gets past it.
        seconds=math.ceil(seconds) + 1,
        megabytes=megabytes,
    )
    judging = role == "judge"
    return subprocess.Popen(
        [sys.executable, "-s", "-S", "-P", "-c", program],
        stdin=subprocess.PIPE if judging else subprocess.DEVNULL,
        stdout=subprocess.PIPE if judging else subprocess.DEVNULL,
        stderr=subprocess.PIPE if judging else subprocess.DEVNULL,
        pass_fds=(end.fileno(),),
        cwd="/",
        env=ENVIRONMENT | {name: os.environ[name] for name in KEPT if name in os.environ},
        start_new_session=True,
        text=True,
    )


def _end(process: "subprocess.Popen[str]") -> None:
    """It cannot have started others, so it is all there is to end."""
    process.kill()
    process.wait()
