"""A run directory of ``p2o-train`` as the report reads it, whatever is there of it."""

import csv
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import NoneType
from typing import Any

import yaml

from p2o.errors import UserError
from p2o.report.searches import Search

Row = dict[str, float]
SUMMARY = {
    **dict.fromkeys(("accuracy", "hard_accuracy", "ledger", "versions", "config"), (dict,)),
    **dict.fromkeys(("held_out", "held_out_hard", "updates", "measured_at"), (int,)),
    "templates": (list,),
    "collapse": (str,),
}
"""Entries of ``summary.json`` that a report looks at, and what kinds they are of."""
SAMPLED = (
    "Rollouts of one training problem in ten are on record: what is told of problems is told of "
    "these."
)


@dataclass(frozen=True)
class Run:
    """What a run directory holds.

    Attributes:
        folder: The directory.
        overrides: Settings of its command line.
        config: Its configuration, with interpolations resolved once the run has ended.
        summary: Content of ``summary.json``; empty for a run that has not ended.
        metrics: Rows of ``metrics.csv``, without cells that are empty.
        pools: The pools that were published, in order of time; see `PromptPool.state_dict`.
        notes: What is missing or cannot be read, a sentence each.
        depth: How many parts of its path its name has.
    """

    folder: Path
    overrides: tuple[str, ...] = ()
    config: Mapping[str, Any] = field(default_factory=dict)
    summary: Mapping[str, Any] = field(default_factory=dict)
    metrics: Sequence[Row] = ()
    pools: Mapping[Search, Mapping[str, Any]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    depth: int = 2

    @property
    def name(self) -> str:
        """The last parts of its path; two, as runs of one experiment have the same parent."""
        return str(Path(*self.folder.resolve().parts[-self.depth :]))

    @property
    def is_sampled(self) -> bool:
        """Whether the rollouts of some training problems alone are on record."""
        return self.setting("records.rollouts") == "sampled"

    @property
    def seed(self) -> int | None:
        """The seed, by which runs of two arms are paired."""
        seed = self.config.get("seed")
        return seed if isinstance(seed, int) else None

    def setting(self, key: str) -> Any:
        """A value of the configuration by its dotted key; None where there is none."""
        value: Any = self.config
        for part in key.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        return value

    def column(self, name: str) -> list[tuple[float, float]]:
        """Step and value of a metric, in the order in which they were logged."""
        return [(row["step"], row[name]) for row in self.metrics if name in row and "step" in row]


def read_run(folder: Path) -> Run:
    """Read what there is of a run.

    Raises:
        UserError: The folder holds nothing of a run.
    """
    notes: list[str] = []
    summary = _of_its_kinds(_json(folder / "summary.json", notes), notes)
    metrics = _metrics(folder / "metrics.csv", notes)
    config = summary.get("config") or _yaml(folder / ".hydra" / "config.yaml", notes) or {}
    if not (summary or metrics or config):
        raise UserError(f"{folder}: not a run directory of p2o-train ({_why(folder)})")
    if not (folder / "summary.json").exists():
        notes.append("There is no summary.json: the run has not ended, or was broken off.")
    overrides = _yaml(folder / ".hydra" / "overrides.yaml", notes) or []
    run = Run(
        folder,
        tuple(map(str, overrides if isinstance(overrides, list) else ())),
        config if isinstance(config, dict) else {},
        summary,
        metrics,
        _pools(folder / "evolution", notes),
    )
    return replace(run, notes=(*notes, *([SAMPLED] if run.is_sampled else [])))


def told_apart(runs: Sequence[Run]) -> list[Run]:
    """The same runs, of different folders, each with a name of its own."""
    deepest = max(len(run.folder.resolve().parts) for run in runs)
    depths = range(Run.depth, deepest + 1)
    choices = ([replace(run, depth=depth) for run in runs] for depth in depths)
    return next(
        (named for named in choices if len({run.name for run in named}) == len(runs)), list(runs)
    )


def _why(folder: Path) -> str:
    if not folder.is_dir():
        return "no such folder" if not folder.exists() else "not a folder"
    inside = sorted({found.parent for found in folder.glob("*/metrics.csv")})
    hint = f"; {inside[-1]} is one" if inside else ""
    return f"no summary.json, metrics.csv or .hydra/config.yaml that can be read{hint}"


def _json(path: Path, notes: list[str]) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError):
        content = None
    if not isinstance(content, dict):
        notes.append(f"{path.name} cannot be read.")
        return {}
    return content


def _of_its_kinds(summary: dict[str, Any], notes: list[str]) -> dict[str, Any]:
    """What a summary holds, without entries that are of another kind than today's."""
    wrong = [
        name
        for name, kinds in SUMMARY.items()
        if not isinstance(summary.get(name), (*kinds, NoneType))
    ]
    notes += [f"summary.json: {name} is of another version." for name in wrong]
    return {name: value for name, value in summary.items() if name not in wrong}


def _yaml(path: Path, notes: list[str]) -> Any:
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, yaml.YAMLError):
        notes.append(f".hydra/{path.name} cannot be read.")
        return None


def _metrics(path: Path, notes: list[str]) -> list[Row]:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    except (OSError, ValueError):
        notes.append("metrics.csv cannot be read.")
        return []
    # What comes after the last line's end was cut off by a kill.
    table = csv.DictReader(text[: text.rfind("\n") + 1].splitlines())
    rows = []
    for cells in table:
        row = {name: _number(cell) for name, cell in cells.items() if name is not None}
        rows.append({name: value for name, value in row.items() if value is not None})
    return [row for row in rows if row]


def _number(cell: Any) -> float | None:
    """A cell's number; None for what is none, or not finite."""
    try:
        value = float(cell)
    except (TypeError, ValueError):
        return None
    return value if math.isfinite(value) else None


def _pools(folder: Path, notes: list[str]) -> dict[Search, Mapping[str, Any]]:
    pools: dict[Search, Mapping[str, Any]] = {}
    for path in sorted(folder.glob("epoch_*.json")):
        content = _json(path, notes)
        if isinstance(content.get("templates"), list) and "epoch" in content:
            pools[Search(content["epoch"], content.get("step"))] = content
        elif content:
            notes.append(f"evolution/{path.name} is of another version.")
    return pools
