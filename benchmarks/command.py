"""What every benchmark's command line has, and where its results go."""

import argparse
import json
import os
import platform
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.process import MeasurementError
from benchmarks.work import Work

FOLDER = Path("runs/bench")
"""Where results go."""
NAMES = ("step", "update", "sampling", "scaling", "evolution", "overhead")
"""The benchmarks."""
LIBRARIES = ("torch", "transformers", "lightning", "trl", "gepa")


class Results:
    """One benchmark's results, written anew after each of them: a failure loses no other.

    Args:
        name: Of the benchmark.
        folder: Where its file goes.
        quick: Whether this is the tiny version, whose numbers mean nothing.
    """

    def __init__(self, name: str, folder: Path, quick: bool) -> None:
        self.path = folder / f"{name}.json"
        self.content: dict[str, Any] = {
            "benchmark": name,
            "quick": quick,
            "command": " ".join(["python -m", f"benchmarks.{name}", *sys.argv[1:]]),
            "date": datetime.now(UTC).date().isoformat(),
            "machine": machine(),
            "results": [],
            "failures": [],
        }
        folder.mkdir(parents=True, exist_ok=True)
        self._write()

    def add(self, **result: Any) -> None:
        """Keep a result."""
        self.content["results"].append(result)
        self._write()

    def measure(self, works: Mapping[str, Work], how: Callable[[Work], dict[str, Any]]) -> None:
        """Measure each work by its name, and go on where one fails."""
        for name, work in works.items():
            try:
                self.add(case=name, work=asdict(work), **how(work))
            except MeasurementError as error:
                self.failed(name, error)

    def failed(self, what: str, error: Exception) -> None:
        """Keep what could not be measured, and say so."""
        print(f"{what}: {error}", file=sys.stderr, flush=True)
        self.content["failures"].append({"what": what, "error": str(error)})
        self._write()

    def status(self) -> int:
        """Exit status: 1 when something could not be measured."""
        return int(bool(self.content["failures"]))

    def _write(self) -> None:
        self.path.write_text(json.dumps(self.content, indent=1) + "\n")


def parser(name: str, description: str | None) -> argparse.ArgumentParser:
    """A command line with what every benchmark has: ``--quick`` and ``--folder``."""
    made = argparse.ArgumentParser(
        prog=f"python -m benchmarks.{name}",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument(
        "--quick", action="store_true", help="a tiny version, in under a minute: does it run?"
    )
    made.add_argument(
        "--folder", type=Path, default=FOLDER, help="where the results go (%(default)s)"
    )
    return made


def machine() -> dict[str, Any]:
    """What the numbers depend on."""
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "libraries": {name: version(name) for name in LIBRARIES},
        "load": os.getloadavg()[0],
        "threads": os.environ.get("OMP_NUM_THREADS"),
    }


def _processor() -> str:
    file = Path("/proc/cpuinfo")
    lines = file.read_text().splitlines() if file.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
