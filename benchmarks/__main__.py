"""``python -m benchmarks``: all benchmarks one after another, and the page that shows them.

One that fails loses no other's results. Exit status 1 says that something was not measured.
"""

import subprocess
import sys
from time import monotonic

from benchmarks.command import NAMES
from benchmarks.process import ROOT


def main() -> int:
    """Run everything."""
    failed = []
    # The longest one last.
    for name in sorted(NAMES, key=lambda name: name == "step"):
        start = monotonic()
        print(f"== {name}", flush=True)
        status = subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], cwd=ROOT).returncode
        print(f"== {name}: {(monotonic() - start) / 60:.1f} minutes", flush=True)
        failed += [name] * bool(status)
    subprocess.run([sys.executable, "-m", "benchmarks.report"], cwd=ROOT, check=True)
    if failed:
        print(f"not everything was measured: {', '.join(failed)}", file=sys.stderr)
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
