"""Runs p2o's programs in children of one process that has imported them, which takes seconds.

Started as a program, this file is that process. It reads a JSON line for each run: module,
arguments, folder, environment, and where standard output and error go. It writes two JSON lines:
the child's process id, and its exit status (negative for a signal).

What is read when a library is imported, as PYTHONHASHSEED and HF_HOME are, is that of the process;
a test that is about such a thing starts a program anew.
"""

import gc
import importlib
import json
import os
import runpy
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from tests.patience import HANGS

PROGRAMS = ("p2o.cli.train", "p2o.cli.eval", "p2o.cli.export")
LATER = (
    "transformers.models.llama.modeling_llama",
    "transformers.models.qwen2.modeling_qwen2",
    "gepa.api",
)
"""What they import while they work."""


class Forks:
    """Starts the process when it is first needed, one for all tests of a session."""

    def __init__(self) -> None:
        self._server: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        if self._server is not None:
            self._server.communicate()

    def run(
        self,
        module: str,
        arguments: Sequence[str],
        folder: Path,
        environment: dict[str, str] | None = None,
        timeout: float = HANGS,
    ) -> subprocess.CompletedProcess[str]:
        """Run ``python -m MODULE ARGUMENTS``, or a file in place of a module, in a folder.

        Raises:
            subprocess.TimeoutExpired: It took too long, and was killed.
        """
        with tempfile.TemporaryDirectory() as where:
            output, errors = Path(where, "output"), Path(where, "errors")
            order = {
                "module": module,
                "arguments": list(map(str, arguments)),
                "folder": str(folder),
                "environment": dict(os.environ if environment is None else environment),
                "output": str(output),
                "errors": str(errors),
            }
            process = self._ask(order)
            late = threading.Event()

            def kill() -> None:
                late.set()
                os.kill(process, signal.SIGKILL)

            timer = threading.Timer(timeout, kill)
            timer.start()
            status = self._answer()
            timer.cancel()
            texts = [path.read_text(errors="replace") for path in (output, errors)]
        if late.is_set():
            raise subprocess.TimeoutExpired(module, timeout, *texts)
        return subprocess.CompletedProcess([module, *order["arguments"]], status, *texts)

    def _ask(self, order: dict[str, Any]) -> int:
        if self._server is None:
            self._server = subprocess.Popen(
                [sys.executable, "-m", "tests.forking"],
                cwd=Path(__file__).parents[1],
                env={**os.environ, "OMP_NUM_THREADS": "1"},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        assert self._server.stdin is not None
        self._server.stdin.write(json.dumps(order) + "\n")
        self._server.stdin.flush()
        return self._answer()

    def _answer(self) -> int:
        assert self._server is not None
        assert self._server.stdout is not None
        return json.loads(self._server.stdout.readline())


def serve() -> None:
    """Fork a child for each line; a child leaves by the end of its program."""
    for line in sys.stdin:
        order = json.loads(line)
        process = os.fork()
        if process == 0:
            become(order)
            return
        print(process, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), flush=True)


def become(order: dict[str, Any]) -> None:
    """Be the program, as the interpreter would start it."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    output, errors = (
        os.open(order[name], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        for name in ("output", "errors")
    )
    for source, target in ((nothing, 0), (output, 1), (errors, 2)):
        os.dup2(source, target)
        os.close(source)
    os.environ.clear()
    os.environ.update({**order["environment"], "OMP_NUM_THREADS": "1"})
    os.chdir(order["folder"])
    paths = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
    sys.path[:1] = [order["folder"], *(path for path in paths if path not in sys.path)]
    sys.argv = [order["module"], *order["arguments"]]
    if order["module"].endswith(".py"):
        runpy.run_path(order["module"], run_name="__main__")
    else:
        runpy.run_module(order["module"], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    for name in (*PROGRAMS, *LATER):
        importlib.import_module(name)
    for name in PROGRAMS:
        # Each is run as the main program.
        del sys.modules[name]
    gc.freeze()
    serve()
