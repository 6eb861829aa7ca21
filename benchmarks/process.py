"""Each measurement in a process of its own, so that its peak memory is its own."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
CONFIGURATION = Path("benchmarks/conf")
"""From the root."""


class MeasurementError(Exception):
    """A process that was to be measured failed; the message is the end of what it said."""


def p2o(*settings: str) -> dict[str, Any]:
    """What `benchmarks.probe.Probe` writes of one run of ``p2o-train``.

    Args:
        settings: Of the run.

    Raises:
        MeasurementError: The run failed.
    """
    program = Path(sys.executable).with_name("p2o-train")
    with tempfile.TemporaryDirectory() as folder:
        command = [*p2o_command(*settings), f"hydra.run.dir={folder}"]
        return _run([str(program), *command[1:]], Path(folder))


def p2o_command(*settings: str) -> list[str]:
    """The command line of a run, as a person would type it from the root."""
    return ["p2o-train", "--config-dir", str(CONFIGURATION), *settings]


def module(name: str, *arguments: str) -> dict[str, Any]:
    """What a module writes to the file that is its last argument.

    Raises:
        MeasurementError: It failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", name, *arguments]
        return _run([*command, f"{folder}/measured.json"], Path(folder))


def _run(command: Sequence[str], folder: Path) -> dict[str, Any]:
    paths = [str(ROOT), str(ROOT / "callbacks"), os.environ.get("PYTHONPATH", "")]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    measured = folder / "measured.json"
    if done.returncode or not measured.is_file():
        last = "\n".join(done.stdout.strip().splitlines()[-15:])
        raise MeasurementError(f"exit status {done.returncode}: {last}")
    return json.loads(measured.read_text())
