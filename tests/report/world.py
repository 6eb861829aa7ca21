"""Run directories as ``p2o-train`` leaves them, made up."""

import csv
import json
from pathlib import Path

import yaml

from p2o.prompt import hint_id
from p2o.records.writing import append

HOSTILE = "</script><script>document.title='owned'</script><img src=x onerror=alert(1)>"
"""What a model may write and a page must not obey."""
COLUMNS = ("Think of columns.", "Add the columns one by one.")
"""A hint, and one that was derived from it."""

METRICS = [
    {"step": 0, "epoch": 0, "val/accuracy": 0.25, "ledger/rollouts": 0},
    {"step": 0, "epoch": 0, "groups/dead": 0.9, "train/entropy": 1.2, "train/engine_kl": 0.001},
    {"step": 1, "epoch": 0, "groups/dead": 0.8, "hard/size": 3},
    {"step": 1, "epoch": 0, "val/accuracy": 0.25, "ledger/rollouts": 8},
    {"step": 2, "epoch": 1, "groups/dead": 0.5, "templated/reach": 0.6, "templated/reliance": 1.1},
    {"step": 3, "epoch": 2, "groups/dead": 0.2, "templated/reach": 0.9, "templated/reliance": 0.1},
    {"step": 3, "epoch": 2, "val/accuracy": 1.0, "ledger/rollouts": 26},
]


def write_run(
    folder: Path,
    overrides: tuple[str, ...] = (),
    seed: int = 0,
    after: float = 1.0,
    recorded: bool = True,
) -> Path:
    """A run of three epochs on four problems.

    `a` is solved from the start; `b` needs a hint and is then solved without it; `c` is solved with
    a hint alone; `d` never is.
    """
    (folder / ".hydra").mkdir(parents=True)
    (folder / "evolution").mkdir()
    config = {
        "seed": seed,
        "model": {"path": "tiny"},
        "data": {"group_size": 2},
        "callbacks": {
            "finite": {"_target_": "p2o_callbacks.FiniteUpdates"},
            "floor": {"_target_": "p2o_callbacks.MetricBounds", "minimum": None},
        },
    }
    written = [*overrides, f"seed={seed}", f"hydra.run.dir={folder}"]
    (folder / ".hydra" / "config.yaml").write_text(yaml.safe_dump(config))
    (folder / ".hydra" / "overrides.yaml").write_text(yaml.safe_dump(written))
    metrics = [dict(row) for row in METRICS]
    metrics[-1]["val/accuracy"] = after
    columns = list(dict.fromkeys(name for row in metrics for name in row))
    with (folder / "metrics.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(metrics)
    spent = {"rollouts": 10, "generated_tokens": 100, "seconds": 30.0, "reflection_calls": 3}
    ledger = {phase: dict(spent) for phase in ("train", "scoring", "evolution", "evaluation")}
    summary = {
        "accuracy": {"before": 0.25, "after": after},
        "hard_accuracy": {"before": 0.0, "after": after},
        "collapse": None,
        "held_out": 4,
        "held_out_hard": 3,
        "templates": [],
        "ledger": ledger,
        "versions": {"p2o-rl": "0.1.0"},
        "config": config,
    }
    (folder / "summary.json").write_text(json.dumps(summary))
    template = {"parents": [], "score": 0.0, "dev_scores": {"b": 0.0, "c": 0.0}, "solved": []}
    templates = [
        {**template, "text": ""},
        {**template, "text": COLUMNS[0], "parents": [0], "score": 0.5, "solved": ["b"]},
        {**template, "text": COLUMNS[1], "parents": [1], "score": 1.0, "solved": ["b", "c"]},
        {**template, "text": HOSTILE, "parents": [0]},
    ]
    pool = {"templates": templates, "cover": [2], "assignment": {"b": [2, 2], "c": [2, 2]}}
    for epoch in (1, 2):
        made = {"epoch": epoch, "step": None, **pool}
        (folder / "evolution" / f"epoch_{epoch:04d}.json").write_text(json.dumps(made))
    if recorded:
        write_records(folder)
    return folder


REJECTED = "Answer at once."
"""A candidate that came of a hint and was not kept."""


def write_rejected(folder: Path) -> None:
    """Two candidates that the search did not keep: one that was no better, one without a text."""
    place = {"epoch": 1, "iteration": 3, "accepted": False, "parents": [2]}
    append(folder, "hints", [{"hint": hint_id(REJECTED), "text": REJECTED}])
    append(
        folder,
        "candidates",
        [
            {"epoch": 1, "iteration": 0, "candidate": 0, "hint": "", "accepted": True},
            {
                **place,
                "candidate": 3,
                "hint": hint_id(REJECTED),
                "score_before": [1.0, 0.5],
                "score_after": [0.0, 0.5],
                "reason": "no better than its parent on the minibatch",
            },
            {**place, "candidate": 4, "hint": "", "reason": "no template in the answer"},
        ],
    )
    asked = {"epoch": 1, "iteration": 3, "candidate": 3, "prompt": "Shorter?"}
    append(folder, "exchanges", [{**asked, "answer": REJECTED}])


def write_records(folder: Path) -> None:
    hint = hint_id(COLUMNS[1])
    append(
        folder,
        "problems",
        [
            {
                "problem": name,
                "split": "train",
                "question": f"What is {name}? {HOSTILE}",
                "gold": "7",
            }
            for name in "abcd"
        ],
    )
    append(folder, "hints", [{"hint": hint_id(text), "text": text} for text in (*COLUMNS, HOSTILE)])
    rows = []
    for epoch, step, outcomes in (
        (0, 0, {"a": (0, "wr"), "b": (0, "ww"), "c": (0, "ww"), "d": (0, "ww")}),
        (1, 1, {"a": (0, "rr"), "b": (1, "wr"), "c": (1, "ww"), "d": (1, "ww")}),
        (2, 2, {"a": (0, "rr"), "b": (0, "rr"), "c": (1, "rw"), "d": (1, "ww")}),
    ):
        for group, (problem, (hinted, verdicts)) in enumerate(outcomes.items()):
            for index, verdict in enumerate(verdicts):
                rows.append(
                    {
                        "phase": "training",
                        "epoch": epoch,
                        "step": step,
                        "group": group,
                        "index": index,
                        "problem": problem,
                        "hint": hint if hinted else "",
                        "hinted": bool(hinted),
                        "response": f"{problem} {epoch} {HOSTILE}",
                        "tokens": 5,
                        "finish_reason": "stop",
                        "reward": float(verdict == "r"),
                        "solved": verdict == "r",
                        "status": "ok",
                        "answer": "7",
                        "detail": "",
                        "kept": 0.5 if hinted else None,
                        "reliance": 0.25 if hinted else None,
                    }
                )
    search = [
        {**rows[2], "phase": "evolution", "epoch": 1, "group": 4, "index": 0},
        {**rows[2], "phase": "evolution", "epoch": 1, "group": 5, "index": 0},
    ]
    append(folder, "rollouts", [*rows, *search])
    compared = {"tokens": ["b ", "or ", HOSTILE], "log_ratios": [-3.0, -0.5, 1.0], "hint": hint}
    append(
        folder,
        "tokens",
        [
            {"epoch": 1, "step": 1, "group": 1, "index": 1, "problem": "b", **compared},
            {"epoch": 2, "step": 2, "group": 2, "index": 0, "problem": "c", **compared},
        ],
    )
    place = {"epoch": 1, "iteration": 2, "candidate": 2}
    append(folder, "candidates", [{**place, "hint": hint, "accepted": True, "reason": ""}])
    asked = f"Improve this: {COLUMNS[0]} {HOSTILE}"
    append(folder, "exchanges", [{**place, "prompt": asked, "answer": f"``` {COLUMNS[1]} ```"}])
    hard = [{"epoch": 0, "problem": name} for name in "bcd"]
    append(folder, "hard", [*hard, *({"epoch": 1, "problem": name} for name in "cd")])
