"""The life of one problem, and the making of one hint, in the terminal."""

from collections.abc import Mapping
from itertools import groupby
from typing import Any

from p2o.errors import UserError
from p2o.records import Records
from p2o.records.lives import Life, follow
from p2o.report.searches import Search
from p2o.report.shown import SHORT, about, clipped, of
from p2o.running.terminal import Terminal

LONGEST = 500
"""Characters of a response that are shown where not all is asked for."""


def show_problem(
    records: Records, name: str, start: str, everything: bool, console: Terminal
) -> None:
    """Show a problem, what became of it, and its rollouts.

    Args:
        records: Of the run.
        name: The run, as a command takes it.
        start: How its id begins.
        everything: Whether to show all rollouts in full; else, of each epoch and phase, one that
            solved it and one that did not.
        console: Where to.

    Raises:
        UserError: No problem, or more than one, has an id that begins so.
    """
    tables = ("problems", "rollouts")
    known = {problem for name in tables for (problem,) in records.rows(name, ["problem"])}
    problem = find(start, known, "problem")
    console.print(f"problem {problem}", style="bold")
    for row in records.query("problems", problem=problem).to_pylist()[:1]:
        known = (row["split"], row["source"], about(row))
        console.print(", ".join(filter(None, known)), soft_wrap=True)
        console.print(row["question"] or "", soft_wrap=True)
        console.print(f"right: {row['gold']}\n", soft_wrap=True)
    texts = records.texts()
    for life in follow(records)[0]:
        if life.problem == problem:
            _show_life(life, texts, console)
    rollouts = records.query("rollouts", problem=problem).to_pylist()
    if not rollouts:
        console.print("No rollouts of it are on record.")
    elif not everything:
        console.print(
            "Of each epoch one wrong response and one right one; all of them: "
            f"p2o-show {name} problem {start} --all",
            soft_wrap=True,
        )
    rollouts.sort(key=lambda row: (row["epoch"] or 0, row["step"] or 0))
    for (epoch, phase), group in groupby(rollouts, lambda row: (row["epoch"], row["phase"])):
        _show_group(epoch, phase, list(group), texts, everything, console)


def show_hint(records: Records, start: str, console: Terminal) -> None:
    """Show a hint: its text, where it came from, and what its writer was asked and answered.

    Args:
        records: Of the run.
        start: How its id begins.
        console: Where to.

    Raises:
        UserError: No hint, or more than one, has an id that begins so.
    """
    texts = records.texts()
    hint = find(start, texts.keys() - {""}, "hint")
    console.print(f"hint {hint}", style="bold")
    console.print(texts[hint], soft_wrap=True)
    solved = [life for life in follow(records)[0] if life.hint == hint]
    console.print(f"\nIt was the first to solve {of(len(solved), 'problem')}.")
    candidates = records.candidates().to_pylist()
    by_number = {(_search(row), row["candidate"]): row["hint"] for row in candidates}
    exchanges = {(_search(row), row["candidate"]): row for row in records.exchanges().to_pylist()}
    for row in candidates:
        if row["hint"] != hint:
            continue
        search = _search(row)
        parents = [by_number.get((search, parent)) for parent in row["parents"] or ()]
        names = ", ".join(parent[:SHORT] if parent else "the bare prompt" for parent in parents)
        scores = [score["score"] for score in row["dev_scores"] or ()]
        dev = f", dev score {sum(scores) / len(scores):.2f}" if scores else ""
        became = "accepted" if row["accepted"] else f"not accepted: {row['reason']}"
        console.rule(f"search {search}, candidate {row['candidate']}", style="")
        console.print(f"from {names or 'nothing'}; {became}{dev}", soft_wrap=True)
        exchange = exchanges.get((search, row["candidate"]))
        if exchange is not None:
            console.print("asked:", style="bold")
            console.print(exchange["prompt"], soft_wrap=True)
            console.print("answered:", style="bold")
            console.print(exchange["answer"], soft_wrap=True)


def _search(row: Mapping[str, Any]) -> Search:
    return Search(row["epoch"], row["step"])


def find(start: str, known: Any, what: str) -> str:
    """The one id that begins as given.

    Raises:
        UserError: There is none, or there are several.
    """
    found = sorted(each for each in known if each is not None and each.startswith(start))
    if start in found:
        return start
    if len(found) == 1:
        return found[0]
    if not found:
        some = ", ".join(sorted(filter(None, known))[:3])
        more = f"; ids are such as {some}" if some else "; there are none on record"
        raise UserError(f"{what} {start}: no id begins so{more}")
    raise UserError(
        f"{what} {start}: {len(found)} ids begin so, {', '.join(found[:3])}...; give more of it"
    )


def _show_life(life: Life, texts: dict[str, str], console: Terminal) -> None:
    steps = []
    if life.hard is not None:
        steps.append(f"hard at the end of epoch {life.hard}")
    if life.unlocked is not None:
        hint = life.hint or ""
        text = clipped(texts.get(hint, ""), LONGEST)
        steps.append(f"first solved with a hint in epoch {life.unlocked}, {hint[:SHORT]}: {text}")
    if life.internalised is not None:
        steps.append(f"solved without one in epoch {life.internalised}")
    if life.relapsed is not None:
        steps.append(f"relapsed in epoch {life.relapsed}")
    steps.append(f"at the end: {life.state}")
    for step in steps:
        console.print(f"- {step}", soft_wrap=True)
    console.print()


def _show_group(
    epoch: int,
    phase: str,
    rows: list[dict[str, Any]],
    texts: dict[str, str],
    everything: bool,
    console: Terminal,
) -> None:
    solved = [row for row in rows if row["solved"]]
    failed = [row for row in rows if not row["solved"]]
    console.rule(
        f"epoch {epoch}, {(phase or 'unknown').replace('_', '-')}: {len(solved)} of {len(rows)} "
        "right",
        align="left",
        style="",
    )
    for row in rows if everything else [*failed[:1], *solved[:1]]:
        _show_rollout(row, texts, everything, console)


def _show_rollout(
    row: dict[str, Any], texts: dict[str, str], everything: bool, console: Terminal
) -> None:
    verdict = {True: "right", False: "wrong", None: "no verdict"}[row["solved"]]
    facts = [
        verdict,
        f"with hint {row['hint'][:SHORT]}" if row["hinted"] else "bare",
        of(row["tokens"] or 0, "token") + (", cut" if row["finish_reason"] == "length" else ""),
    ]
    if row["answer"] is not None:
        facts.append(f"answer {clipped(row['answer'], 40)}")
    elif row["status"] != "ok":
        facts.append(str(row["status"]).replace("_", " "))
    for name in ("advantage", "kept", "reliance"):
        if row[name] is not None:
            facts.append(f"{name} {row[name]:.2f}")
    console.print("; ".join(facts), soft_wrap=True, style="bold")
    if row["hinted"] and everything:
        console.print(f"[{texts.get(row['hint'], '')}]", soft_wrap=True)
    if row["detail"]:
        console.print(f"({clipped(row['detail'], LONGEST)})", soft_wrap=True)
    response = row["response"] or ""
    console.print(response if everything else clipped(response, LONGEST), soft_wrap=True)
    console.print()
