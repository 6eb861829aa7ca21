"""A diagnosis in a terminal of 80 columns."""

import math
from collections.abc import Sequence
from statistics import fmean

from rich.padding import Padding
from rich.table import Table

from p2o.evaluation.diagnosis import (
    Diagnosis,
    Estimate,
    Outcome,
    Price,
    Spending,
    TriedProblem,
    is_cut,
    outcome,
)
from p2o.evaluation.diagnosis_file import Advice
from p2o.running.terminal import Terminal

WIDTH = 80
MOST_PROBLEMS = 24
MOST_HINTS = 16
"""Rows that are shown; a file has all."""
BAR = 24
HEAD, TAIL = 160, 320
"""Characters of a response that are shown, of its beginning and of its end."""


def print_plan(spending: Spending, tokens: int, console: Terminal) -> None:
    """Say what will be spent, before it is.

    Args:
        spending: At most.
        tokens: Length limit of a response.
        console: Where to.
    """
    console.print(
        f"This makes at most {spending.bare + spending.hinted:,} rollouts of at most {tokens:,} "
        f"tokens: {spending.problems} problems x {spending.samples} = {spending.bare:,} without a "
        f"hint, and up to {spending.hinted:,} with one of {spending.hints} hints on what is never "
        "solved. Nothing is trained."
    )


def print_diagnosis(
    diagnosis: Diagnosis,
    advice: Sequence[Advice],
    sizes: Sequence[int],
    seconds: float,
    console: Terminal,
) -> None:
    """Show what was found, and what to do.

    Args:
        diagnosis: What was sampled.
        advice: What follows from it.
        sizes: Of groups, and k of pass@k.
        seconds: What it took.
        console: Where to.
    """
    tables = {
        "pass@k of each problem, with 95 % intervals": _problem_table(diagnosis, sizes),
        "What came of the rollouts without a hint": _outcome_table(diagnosis),
        "What a group with contrast costs": _price_table([diagnosis.price(s) for s in sizes]),
    }
    if diagnosis.hints:
        title = f"Hints on the {len(diagnosis.unsolved)} problems that were never solved"
        tables[title] = _hint_table(diagnosis)
    for title, table in tables.items():
        console.rule(title, align="left")
        console.print(table)
    _print_telling(diagnosis, console)
    console.rule("What to do, in this order", align="left")
    for number, each in enumerate(advice, 1):
        console.print(f"{number}. {each.what}", style="bold")
        console.print(Padding(each.why, (0, 0, 0, 3)))
    if not advice:
        console.print("Nothing stands out.")
    hinted = sum(len(hint.rollouts) for hint in diagnosis.hints)
    console.print(f"spent: {len(diagnosis.rollouts) + hinted:,} rollouts, {seconds:,.0f} s")


def _problem_table(diagnosis: Diagnosis, sizes: Sequence[int]) -> Table:
    table = _table()
    table.expand = True
    table.add_column("problem", no_wrap=True, ratio=1)
    for name in ("right", *(f"pass@{k}" for k in (1, *sizes)), "hints"):
        table.add_column(name, justify="right", no_wrap=True)
    ordered = sorted(diagnosis.problems, key=lambda problem: problem.solved)
    for problem in ordered[:MOST_PROBLEMS]:
        table.add_row(*_problem_cells(problem, diagnosis, sizes))
    if len(ordered) > MOST_PROBLEMS:
        table.add_row(f"and {len(ordered) - MOST_PROBLEMS} more")
    return table


def _problem_cells(problem: TriedProblem, diagnosis: Diagnosis, sizes: Sequence[int]) -> list[str]:
    reached = len(diagnosis.reached.get(problem.prompt.id, ()))
    return [
        " ".join(problem.prompt.question.split()),
        f"{problem.solved}/{len(problem.judged)}",
        *(_estimate(problem.pass_at(k)) for k in (1, *sizes)),
        "" if problem.solved or not diagnosis.hints else f"{reached}",
    ]


def _estimate(estimate: Estimate | None) -> str:
    if estimate is None:
        return "-"
    value, low, high = (
        f"{number:.2f}".removeprefix("0")
        for number in (estimate.value, estimate.low, estimate.high)
    )
    return f"{value} {low}-{high}"


def _outcome_table(diagnosis: Diagnosis) -> Table:
    table, partial = _table(), diagnosis.has_partial_rewards
    for name in ("", "share", "rollouts", *["mean reward"] * partial):
        table.add_column(name, justify="right" if name else "left")
    table.add_column("", width=BAR)
    for each, share in diagnosis.shares.items():
        rewards = [r.score.reward for r in diagnosis.rollouts if outcome(r) == each]
        cells = [each.value, f"{share:.0%}", f"{len(rewards):,}"]
        if partial:
            known = rewards and each != Outcome.FAILED
            cells.append(f"{fmean(rewards):.2f}" if known else "-")
        table.add_row(*cells, "█" * math.ceil(BAR * share))
    cut = sum(map(is_cut, diagnosis.rollouts))
    answered = cut - sum(outcome(r) == Outcome.CUT for r in diagnosis.rollouts)
    if answered:
        table.caption = f"{answered:,} more reached the length limit, with an answer in them"
    return table


def _price_table(prices: Sequence[Price]) -> Table:
    table = _table()
    for name in ("group size K", "groups with contrast", "rollouts for one", "95 % interval"):
        table.add_column(name, justify="right")
    for price in prices:
        known = math.isfinite(price.rollouts)
        table.add_row(
            f"{price.size}",
            f"{price.chance:.0%}",
            f"{price.rollouts:,.0f}" if known else "none seen",
            f"{price.least:,.0f} to {_number(price.most)}",
        )
    return table


def _number(value: float) -> str:
    return f"{value:,.0f}" if math.isfinite(value) else "no bound"


def _hint_table(diagnosis: Diagnosis) -> Table:
    table = _table()
    table.add_column("reached", justify="right")
    table.add_column("hint")
    ordered = sorted(diagnosis.hints, key=lambda hint: -len(hint.reached))
    for hint in ordered[:MOST_HINTS]:
        table.add_row(f"{len(hint.reached)}", " ".join(hint.text.split())[: 2 * WIDTH])
    if len(ordered) > MOST_HINTS:
        table.add_row("", f"and {len(ordered) - MOST_HINTS} more")
    table.caption = f"{len(diagnosis.reached)} are reached by one or another"
    return table


def _print_telling(diagnosis: Diagnosis, console: Terminal) -> None:
    for what, rollout in diagnosis.telling():
        console.rule(what, align="left")
        console.print(f"asked: {' '.join(rollout.prompt.question.split())[:HEAD]}")
        console.print(f"right: {' or '.join(rollout.prompt.golds)}"[:HEAD])
        text = rollout.response.strip()
        short = len(text) <= HEAD + TAIL
        console.print(text if short else f"{text[:HEAD]} [...] {text[-TAIL:]}")
        score = rollout.score
        tokens = len(rollout.completion.sampled_ids)
        said = f"verdict: {score.status.value}, {tokens} tokens"
        if diagnosis.has_partial_rewards and not score.failed:
            said += f", reward {score.reward:.2f}"
        said += f", answer {score.answer:.40}" if score.answer is not None else ""
        console.print(f"{said}; {score.detail}" if score.detail else said, style="dim")


def _table() -> Table:
    return Table(box=None, padding=(0, 1), caption_justify="left")
