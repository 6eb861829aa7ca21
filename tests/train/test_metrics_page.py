"""docs/metrics.md names what runs log, and nothing else."""

import csv
import re
from pathlib import Path

import pytest

from tests.train.test_mixture import EXPERIMENT, VERIFIER

pytestmark = pytest.mark.slow

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"
ROW = re.compile(r"^\| (`\w+/.*?) \| .* \|(.*)\|$", re.MULTILINE)
BESIDE = {"epoch", "step"}
"""Columns that say where a row belongs."""
RARE = {"val/pass_at_K", "response/inserted_tokens", "collapse/NAME", "throughput/mfu"}
RARE |= {"groups/smallest", "groups/largest", "rollout/told"}
"""What none of the runs here has a reason to log."""


def documented() -> dict[str, bool]:
    """Each name of the page, and whether it is always there."""
    rows = ROW.findall(PAGE.read_text())
    return {name: not when.strip() for names, when in rows for name in re.findall("`(.+?)`", names)}


def logged(path: Path, sources: tuple[str, ...] = ()) -> set[str]:
    with path.open() as file:
        names = set(next(csv.reader(file))) - BESIDE
    for source in sources:
        names = {name.replace(f"/{source}/", "/NAME/") for name in names}
    return names


def test_the_page_has_what_runs_log_and_runs_log_what_it_has(p2o_train, tmp_path):
    (tmp_path / "mine.py").write_text("def reward(completion, problem): return 0.25\n")
    for group, name, text in (("experiment", "two", EXPERIMENT), ("verifier", "two", VERIFIER)):
        (tmp_path / "conf" / group).mkdir(parents=True)
        (tmp_path / "conf" / group / f"{name}.yaml").write_text(text)
    one = p2o_train(
        *("data.source.train=48", "data.source.held_out=24", "trainer.max_epochs=2"),
        *("evolution.evolver.budget=300", "evolution.callback.bare_rollouts=1"),
        *("reference=initial", "algorithm.kl.coefficient=0.001"),
        "hydra.run.dir=one",
    )
    assert one.returncode == 0, one.stderr
    several = ("--config-dir", "conf", "experiment=two", "evolution=none", "hydra.run.dir=several")
    two = p2o_train(*several, "trainer.max_epochs=1")
    assert two.returncode == 0, two.stderr
    plain = logged(tmp_path / "one" / "metrics.csv")
    found = plain | logged(tmp_path / "several" / "metrics.csv", ("short", "long"))
    names = documented()
    assert found - names.keys() == set()
    assert names.keys() - found == RARE
    assert {name for name, always in names.items() if always} <= plain
