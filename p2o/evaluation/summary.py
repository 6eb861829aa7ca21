"""From completions to numbers, and to a table that fits a terminal."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from p2o.evaluation.statistics import accuracy_interval
from p2o.evaluation.templates import vote
from p2o.learning.pass_at_k import pass_at_k
from p2o.verifiers.base import FAILED, Status

KS = (1, 4, 16)
"""Of pass@k, where there are so many samples."""
Row = Mapping[str, Any]


def summarise(rows: Sequence[Row]) -> dict[str, dict[str, Any]]:
    """Numbers of each benchmark.

    ``accuracy`` is the share of responses that are solved, as a mean over questions, ``interval``
    its 95 % interval (see `accuracy_interval`), ``reward`` the mean reward of responses with a
    verdict, None where there is none. ``pass_at`` counts solved responses; what has no verdict is
    not solved. ``tokens`` is the mean length of a response, ``cut_off`` and ``no_answer`` are
    shares of responses. Where several templates have voted on a sample, the majority's verdict
    counts.
    """
    benchmarks: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        benchmarks[row["benchmark"]].append(row)
    return {name: _summarise_one(own) for name, own in benchmarks.items()}


def _summarise_one(rows: Sequence[Row]) -> dict[str, Any]:
    voters: dict[tuple[str, int], list[Row]] = defaultdict(list)
    for row in rows:
        voters[row["prompt_id"], row["sample"]].append(row)
    verdicts: dict[str, list[Row]] = defaultdict(list)
    for (prompt_id, _), group in voters.items():
        verdicts[prompt_id].append(group[vote([row["answer"] for row in group])])
    samples = min(map(len, verdicts.values()))
    right = [sum(bool(row["solved"]) for row in own) for own in verdicts.values()]
    means = [count / len(own) for count, own in zip(right, verdicts.values(), strict=True)]
    judged = [[row for row in own if row["status"] not in FAILED] for own in verdicts.values()]
    rewards = [sum(row["reward"] for row in own) / len(own) for own in judged if own]
    responses = len(rows)
    return {
        "questions": len(verdicts),
        "samples": samples,
        "accuracy": sum(means) / len(means),
        "interval": list(accuracy_interval(means)),
        "reward": sum(rewards) / len(rewards) if rewards else None,
        "pass_at": {
            k: sum(pass_at_k(samples, count, k) for count in right) / len(right)
            for k in KS
            if k <= samples
        },
        "responses": responses,
        "tokens": sum(row["tokens"] for row in rows) / responses,
        "cut_off": sum(row["finish_reason"] == "length" for row in rows) / responses,
        "no_answer": sum(row["status"] == Status.NO_ANSWER for row in rows) / responses,
        "statuses": {s: sum(row["status"] == s for row in rows) for s in map(str, Status)},
    }


def summary_table(results: Mapping[str, Mapping[str, Any]], missing: Mapping[str, str]) -> Table:
    """The results; percentages but for tokens."""
    table = Table(
        title="Accuracy and pass@k, %", box=SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0)
    )
    # A name gives way where a terminal is narrow, and numbers do not.
    table.add_column("", overflow="fold")
    for name in ("asked", "mean", "95 %", "@4", "@16", "tokens", "cut", "no\nanswer"):
        table.add_column(name, justify="right", no_wrap=True)
    for name, result in results.items():
        low, high = result["interval"]
        passes = [
            f"{100 * result['pass_at'][k]:.1f}" if k in result["pass_at"] else "" for k in KS[1:]
        ]
        table.add_row(
            name,
            f"{result['questions']} x {result['samples']}",
            f"{100 * result['accuracy']:.1f}",
            f"{100 * low:.1f}-{100 * high:.1f}",
            *passes,
            f"{result['tokens']:.0f}",
            f"{100 * result['cut_off']:.1f}",
            f"{100 * result['no_answer']:.1f}",
        )
    for name in missing:
        table.add_row(name, "left out")
    if len(results) + len(missing) > 1:
        table.add_section()
        mean = sum(result["accuracy"] for result in results.values()) / len(results)
        of = f"{len(results)} of {len(results) + len(missing)}"
        table.add_row("mean", of, f"{100 * mean:.1f}")
    return table
