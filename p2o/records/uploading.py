"""What a run leaves for people, given to Weights & Biases when it has ended."""

from pathlib import Path
from typing import Any

from p2o.records.lives import follow
from p2o.records.reading import Records, read

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
    """
    # Only who has chosen this logger has it installed.
    import wandb

    records = read(run)
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
    own = [name for name in ROLLOUTS if name not in ("question", "gold")]
    every = -(-records.query("rollouts", ["epoch"]).num_rows // MOST_ROLLOUTS) or 1
    rows = []
    for values in list(records.rows("rollouts", own))[::every]:
        row = dict(zip(own, values, strict=True))
        row["question"], row["gold"] = problems.get(row["problem"], ("", ""))
        row["hint"] = texts.get(row["hint"] or "", row["hint"])
        rows.append([row[name] for name in ROLLOUTS])
    return rows


def hint_rows(records: Records) -> list[list[Any]]:
    """Rows of `HINTS`; the empty template is left out."""
    texts = records.texts()
    first = [life.hint for life in follow(records)[0]]
    columns = ["epoch", "hint", "accepted", "reason", "dev_scores"]
    rows = []
    for epoch, hint, accepted, reason, scores in records.rows("candidates", columns):
        if hint:
            score = sum(each["score"] for each in scores) / len(scores) if scores else None
            text = texts.get(hint, "")
            rows.append([epoch, hint, text, accepted, reason, score, first.count(hint)])
    return rows
