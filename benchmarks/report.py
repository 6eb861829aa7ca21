"""``python -m benchmarks.report``: docs/evidence/speed.md, made of the results in runs/bench."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.command import FOLDER, NAMES
from benchmarks.markdown import table
from benchmarks.tables import TABLES
from benchmarks.targets import targets

OUTPUT = Path("docs/evidence/speed.md")
HEAD = """\
# Speed

`make bench` measures what is here and writes this page. The
benchmarks watch p2o from outside: they run its command line with an engine, a verifier and a
callback that note when work begins and ends ([benchmarks](../../benchmarks)). Another machine has
other seconds; ratios of one run can be compared.
"""


def report(folder: Path) -> str:
    """The page.

    Args:
        folder: With the results.
    """
    found = {name: _read(folder / f"{name}.json") for name in NAMES}
    parts = [HEAD, _machine(list(found.values())), targets(found)]
    for name in NAMES:
        content = found[name]
        title, show = TABLES[name]
        parts.append(f"## {title}\n")
        if content is None:
            parts.append(f"Not measured: there is no result of `python -m benchmarks.{name}`.\n")
            continue
        parts.append(f"`{content['command']}`, {content['date']}\n")
        if content["quick"]:
            parts.append("**The tiny version: it shows that the benchmark runs, and no speed.**\n")
        if content["results"]:
            parts.append(show(content["results"]))
        parts += [_failure(failure) for failure in content["failures"]]
    return "\n".join(parts)


def _read(path: Path) -> dict[str, Any] | None:
    return json.loads(path.read_text()) if path.is_file() else None


def _failure(failure: dict[str, str]) -> str:
    last = failure["error"].strip().splitlines()[-1]
    return f"Not measured: {failure['what']} ({last}).\n"


def _machine(contents: Sequence[dict[str, Any] | None]) -> str:
    machines = [content["machine"] for content in contents if content is not None]
    if not machines:
        return "No result was found.\n"
    # Of all benchmarks: they may have been run on several machines, or one beside other work.
    alike: dict[tuple[str, ...], list[float]] = {}
    for each in machines:
        software = ", ".join(f"{name} {version}" for name, version in each["libraries"].items())
        key = (
            f"{each['processor']}, {each['system']}",
            str(each["cores"]),
            f"{each['memory_bytes'] / 2**30:.0f} GiB",
            each["threads"] or "torch's choice",
            f"Python {each['python']}, {software}",
        )
        alike.setdefault(key, []).append(each["load"])
    header = ("processor", "cores", "memory", "threads asked for", "software", "load before")
    rows = [(*key, f"{min(loads):.1f} to {max(loads):.1f}") for key, loads in alike.items()]
    return table(header, rows, "lrrlll")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.report", description=__doc__)
    parser.add_argument("--folder", type=Path, default=FOLDER, help="of results (%(default)s)")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="the page (%(default)s)")
    arguments = parser.parse_args()
    arguments.output.write_text(report(arguments.folder))


if __name__ == "__main__":
    main()
