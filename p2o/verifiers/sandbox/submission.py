"""The process that runs the code under test. It has neither the tests nor a way to the verdict."""

import sys
from types import ModuleType

from .confine import close_off, limit
from .operations import TRUSTING
from .peer import Peer


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
    names = {
        name: peer.encode(value)
        for name, value in list(vars(module).items())
        if not name.startswith("__") and not isinstance(value, ModuleType)
    }
    peer.send({"names": names})
    peer.serve()
