"""The process that runs the code under test. It has neither the tests nor a way to the verdict."""

import json
import sys
from types import ModuleType
from typing import Any

from .confine import close_off, limit
from .operations import TRUSTING
from .peer import LONGEST, Peer


def main(end: int, seconds: int, megabytes: int) -> None:
    """Run the code that comes first, tell its names, and do what is asked.

    Args:
        end: File descriptor of the socket to the judge.
        seconds: See `limit`.
        megabytes: See `limit`.
    """
    peer = Peer(end, TRUSTING)
    limit(seconds, megabytes)
    peer.send({"missing": close_off()})
    code = peer.receive()["code"]
    module = ModuleType("solution")
    sys.modules["solution"] = module
    try:
        exec(compile(code, "<solution>", "exec"), vars(module))
    except BaseException as error:  # Whatever it is, it is the code's.
        peer.send({"failed": f"{type(error).__name__}: {error}"[:300]})
        return
    peer.send({"names": _names(module, peer)})
    peer.serve()


def _names(module: ModuleType, peer: Peer) -> dict[str, Any]:
    """What the code has defined, but for what is too large or too deep to be told."""
    names, room = {}, LONGEST // 2
    for name, value in list(vars(module).items()):
        if name.startswith("__") or isinstance(value, ModuleType):
            continue
        try:
            told = peer.encode(value)
            size = len(json.dumps(told))
        except RecursionError:
            continue
        if size <= room:
            names[name], room = told, room - size
    return names
