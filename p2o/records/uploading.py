"""What a run leaves for people, given to Weights & Biases when it has ended."""

from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from p2o.errors import UserError
from p2o.records.lives import follow
from p2o.records.reading import Records, read
from p2o.records.schema import PARTS

ROLLOUTS = (
    *("phase", "epoch", "step", "problem", "question", "gold", "hint", "response", "tokens"),
    *("finish_reason", "reward", "solved", "status", "answer", "advantage", "reliance"),
)
"""Columns of the table of rollouts; ``hint`` is its text."""
HINTS = ("epoch", "hint", "text", "accepted", "reason", "score", "first_solved")
"""Columns of the table of hints: those of each search, and what they were good for."""
MOST_ROLLOUTS = 2_000
"""Rows of the table of rollouts: of more, every second, third and so on is taken."""


def upload(experiment: Any, run: Path, pool: Path | None) -> None:
    """Log a table of rollouts, one of hints, and the pool as an artifact.

    Args:
        experiment: The run of wandb.
        run: Folder of ours; without records it gives no table.
        pool: File of its hints; None where it searched none.

    Raises:
        UserError: Weights & Biases did not take it.
    """
    # Only who has chosen this logger has it installed.
    import wandb

    try:
        _log(experiment, read(run), pool)
    except (wandb.Error, OSError) as error:
        reason = str(error).partition("\n")[0]
        raise UserError(
            f"{run}: Weights & Biases did not take its tables and its pool "
            f"({type(error).__name__}: {reason})"
        ) from error


def _log(experiment: Any, records: Records, pool: Path | None) -> None:
    import wandb

    made = {"rollouts": (ROLLOUTS, rollout_rows(records)), "hints": (HINTS, hint_rows(records))}
    tables = {
        f"records/{name}": wandb.Table(columns=list(columns), data=rows)
        for name, (columns, rows) in made.items()
        if rows
    }
    if tables:
        experiment.log(tables)
    if pool is not None:
        artifact = wandb.Artifact(f"pool-{experiment.id}", type="pool")
        artifact.add_file(str(pool))
        experiment.log_artifact(artifact)


def rollout_rows(records: Records) -> list[list[Any]]:
    """Rows of `ROLLOUTS`, at most `MOST_ROLLOUTS` of all phases alike, in the order of the run."""
    texts = records.texts()
    problems = {
        problem: (question, gold)
        for problem, question, gold in records.rows("problems", ["problem", "question", "gold"])
    }
    rows = []
    for row in _some_rollouts(records.folder):
        row["question"], row["gold"] = problems.get(row["problem"], ("", ""))
        row["hint"] = texts.get(row["hint"] or "", row["hint"])
        rows.append([row[name] for name in ROLLOUTS])
    return rows


class _Part(Records):
    """One part of a table, for a run may have more text than there is memory.

    Args:
        folder: ``RUN/records``.
        path: Of the part.
    """

    def __init__(self, folder: Path, path: Path) -> None:
        super().__init__(folder)
        self.path = path

    def _parts(self, name: str) -> list[Path]:
        return [self.path]


def _some_rollouts(folder: Path) -> Iterator[dict[str, Any]]:
    """Every so many of a run's rollouts, so that there are at most `MOST_ROLLOUTS`.

    Which ones is chosen by their number alone. Then parts are read, one after the other, that have
    some of them.
    """
    own = [name for name in ROLLOUTS if name not in ("question", "gold")]
    paths = sorted((folder / "rollouts").glob(PARTS))
    sizes = [_Part(folder, path).query("rollouts", ["epoch"]).num_rows for path in paths]
    every = -(-sum(sizes) // MOST_ROLLOUTS) or 1
    before = 0
    for path, size in zip(paths, sizes, strict=True):
        first = -before % every
        if first < size:
            rows = _Part(folder, path).rows("rollouts", own)
            for values in islice(rows, first, None, every):
                yield dict(zip(own, values, strict=True))
        before += size


def hint_rows(records: Records) -> list[list[Any]]:
    """Rows of `HINTS`; the empty template is left out."""
    texts = records.texts()
    first = Counter(life.hint for life in follow(records)[0])
    columns = ["epoch", "hint", "accepted", "reason", "dev_scores"]
    rows = []
    for epoch, hint, accepted, reason, scores in records.rows("candidates", columns):
        if hint:
            score = sum(each["score"] for each in scores) / len(scores) if scores else None
            text = texts.get(hint, "")
            rows.append([epoch, hint, text, accepted, reason, score, first[hint]])
    return rows
