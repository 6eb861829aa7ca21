"""Score saved completions with another verifier, and show where the verdicts differ."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

from p2o.evaluation.completions import read_completions
from p2o.prompt import Prompt
from p2o.verifiers.base import Score, Verifier


@dataclass(frozen=True)
class Difference:
    """A completion on which two verifiers differ.

    Attributes:
        row: The completion with the first verdict.
        score: The second verdict.
    """

    row: dict[str, Any]
    score: Score


def rescore(folder: Path, verifier: Verifier) -> tuple[Counter[str], list[Difference]]:
    """Verdicts of another verifier on the completions of an evaluation.

    Returns:
        Completions of each benchmark, and those that one of the two finds solved and the other
        does not.
    """
    rows = read_completions(folder)
    prompts = [_prompt(row) for row in rows]
    scores = verifier.score([row["response"] for row in rows], prompts)
    differences = [
        Difference(row, score)
        for row, score in zip(rows, scores, strict=True)
        if row["solved"] is not score.solved
    ]
    return Counter(row["benchmark"] for row in rows), differences


def differences_table(counts: Counter[str], differences: Sequence[Difference]) -> Table:
    """How many differ in each benchmark, and in which direction."""
    table = Table(title="Verdicts of the two verifiers", width=80)
    for name in ("", "completions", "agree", "right before only", "right now only", "no verdict"):
        table.add_column(name, justify="right" if name else "left")
    for name, count in counts.items():
        own = [d for d in differences if d.row["benchmark"] == name]
        before, now = (
            sum(bool(d.row["solved"]) for d in own),
            sum(bool(d.score.solved) for d in own),
        )
        cells = (count, count - len(own), before, now, len(own) - before - now)
        table.add_row(name, *map(str, cells))
    return table


def _prompt(row: dict[str, Any]) -> Prompt:
    """The problem as it was when the evaluation judged it: no template and no suffix around it."""
    gold, *alternatives = row["golds"]
    return Prompt(
        tuple(json.loads(row["messages"])),
        gold,
        row["prompt_id"],
        json.loads(row["meta"]),
        tuple(alternatives),
        row["source"],
    )
