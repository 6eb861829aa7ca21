"""Each measurement in a process of its own, so that its peak memory is its own."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.work import Work

ROOT = Path(__file__).resolve().parents[1]
CONFIGURATION = "benchmarks/conf"
"""From the root."""
QUESTIONS = "questions.json"


class MeasurementError(Exception):
    """A process that was to be measured failed; the message is the end of what it said."""


def p2o(*settings: str, work: Work | None = None) -> dict[str, Any]:
    """What `benchmarks.probe.Probe` writes of one run of ``p2o-train``, and its command.

    Args:
        settings: Of the run.
        work: What it is to do; its questions are written to a file of the run's folder.

    Raises:
        MeasurementError: The run failed.
    """
    program = Path(sys.executable).with_name("p2o-train")
    with tempfile.TemporaryDirectory() as temporary:
        folder, chosen = Path(temporary), list(settings)
        if work is not None:
            chosen = [*work.settings(QUESTIONS), *settings]
            (folder / QUESTIONS).write_text(json.dumps(work.questions()))
        command = ["p2o-train", "--config-dir", CONFIGURATION, *chosen]
        given = [text.replace(QUESTIONS, str(folder / QUESTIONS)) for text in command[1:]]
        measured = _run([str(program), *given, f"hydra.run.dir={folder}"], folder)
        return {**measured, "command": " ".join(command)}


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
