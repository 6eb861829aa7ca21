"""Pages of docs whose examples tests write down and run."""

import os
import re
from collections.abc import Mapping
from pathlib import Path

from tests.forking import Forks


def write_examples(page: Path, folder: Path, more: Mapping[str, str] | None = None) -> int:
    """Write the files that a page shows, each below its name in backquotes; returns how many."""
    shown = dict(
        re.findall(r"`(my_[\w/]+\.\w+)`:\n\n```\w+\n(.*?)```", page.read_text(), re.DOTALL)
    )
    files = {**shown, **(more or {})}
    for name, body in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(body)
    return len(files)


def run_example(forks: Forks, command: str, folder: Path, *more: str) -> None:
    """Run `p2o-train` with a page's arguments and some more; the folder's packages are there."""
    paths = filter(None, [str(folder), os.environ.get("PYTHONPATH")])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    result = forks.run("p2o.cli.train", [*command.split(), *more], folder, environment)
    assert result.returncode == 0, result.stderr
