"""The process that runs the tests. The code under test is in another one."""

import builtins
import json
import linecache
import os
import sys
import traceback
from io import StringIO
from typing import Any

from .confine import close_off, limit
from .operations import CAREFUL
from .peer import Hangup, Peer

READY = b"ready\n"
"""Written when both processes are closed off; what goes wrong from then on is the code's."""


def main(end: int, seconds: int, megabytes: int) -> None:
    """Read code and tests as JSON from standard input, write a verdict as JSON to standard output.

    Args:
        end: File descriptor of the socket to the process with the code.
        seconds: See `limit`.
        megabytes: See `limit`.
    """
    job = json.load(sys.stdin)
    output = os.dup(1)
    peer = Peer(end, CAREFUL)
    limit(seconds, megabytes)
    missing = close_off() + peer.receive()["missing"]
    if missing and job["strict"]:
        os.write(output, json.dumps({"missing": missing}).encode())
        return
    os.write(output, READY)
    # What the tests print is no verdict.
    sys.stdout = sys.stderr = StringIO()
    try:
        peer.send({"code": job["code"]})
        started = peer.receive()
        reason = started.get("failed") or _run(job["tests"], peer, started["names"])
    except (Exception, Hangup) as error:
        reason = f"{type(error).__name__}: {error}"
    os.write(output, json.dumps({"reason": reason}).encode())


def _run(tests: str, peer: Peer, names: dict[str, Any]) -> str:
    """Why a test failed; empty when none did."""
    # For the line of a failed test.
    linecache.cache["<tests>"] = (len(tests), None, tests.splitlines(True), "<tests>")
    # What Python's own names mean in the tests is not for the code to say.
    own = [name for name in names if not hasattr(builtins, name) and not name.startswith("__")]
    scope = {name: peer.decode(names[name]) for name in own}
    try:
        exec(compile(tests, "<tests>", "exec"), {"__name__": "tests", **scope})
    except BaseException as error:  # The end of the tests, if by sys.exit, is no pass.
        lines = [f for f in traceback.extract_tb(error.__traceback__) if f.filename == "<tests>"]
        line = lines[0].line if lines else ""
        return f"{line}: {type(error).__name__}: {error}"[:300].removesuffix(": ")
    # A test may take the end of the code for an exception that it expects.
    return "the code ended the process it ran in" if peer.alone else ""
