"""What a run learned, in the terminal: its hints, what they unlocked, whether they are needed."""

from collections import Counter, defaultdict
from typing import Any

from p2o.records import Records
from p2o.records.epochs import epoch_rows
from p2o.records.lives import BARE, HINTED, RELAPSED, UNSOLVED, Life, follow
from p2o.report.shown import SHORT, clipped, number, of, percent, table
from p2o.running.terminal import Terminal

MOST_HINTS, MOST_PROBLEMS = 8, 5
LONGEST = 160
"""Characters of a hint or a question that are shown."""


def show_run(records: Records, name: str, console: Terminal, is_sampled: bool = False) -> None:
    """Answer: what did it learn to say, which problems did that unlock, do they still need it?

    Args:
        records: Of the run.
        name: The run, as a command takes it.
        console: Where to.
        is_sampled: Whether the rollouts of some training problems alone are on record.
    """
    lived, by_epoch = follow(records)[0], epoch_rows(records)
    phases = Counter(phase or "unknown" for (phase,) in records.rows("rollouts", ["phase"]))
    parts = ", ".join(f"{phases[p]:,} {p.replace('_', '-')}" for p in sorted(phases))
    console.print(f"{name}: {of(phases.total(), 'rollout')} on record ({parts})", soft_wrap=True)
    console.print()
    _show_hints(records, lived, console)
    _show_unlocked(records, lived, name, console)
    _show_need(lived, by_epoch, console, is_sampled)


def _show_hints(records: Records, lived: list[Life], console: Terminal) -> None:
    console.print("What did it learn to say?", style="bold")
    texts, unlocked = records.texts(), defaultdict(list)
    for life in lived:
        if life.hint:
            unlocked[life.hint].append(life)
    used = Counter(hint for (hint,) in records.rows("pool", ["hint"]) if hint)
    hints = sorted({*used, *unlocked}, key=lambda h: (-len(unlocked[h]), -used[h], h))
    if not hints:
        console.print("Nothing: no hint was in use.")
        _show_rejected(records, console)
        console.print()
        return
    scores = _dev_scores(records)
    shown = table("", "hint", "text", "dev", "first to solve", "bare now", left=("hint", "text"))
    for hint in hints[:MOST_HINTS]:
        bare = sum(life.state == BARE for life in unlocked[hint])
        shown.add_row(
            hint[:SHORT],
            clipped(texts.get(hint, "(text not on record)"), LONGEST),
            number(scores.get(hint), ".2f"),
            str(len(unlocked[hint])),
            str(bare),
        )
    console.print(shown)
    console.print(
        "dev: its score where searches tried it. first to solve: problems that nothing had solved "
        "before. bare now: of these, solved without a hint at the end."
    )
    if len(hints) > MOST_HINTS:
        console.print(f"and {of(len(hints) - MOST_HINTS, 'more hint')}")
    console.print()


def _show_rejected(records: Records, console: Terminal) -> None:
    """How many candidates were not kept, and why."""
    reasons = Counter(
        reason or "no reason on record"
        for (reason,) in records.rows("candidates", ["reason"], accepted=False)
    )
    if reasons:
        why = "; ".join(f"{reason} ({number:,})" for reason, number in reasons.most_common())
        console.print(f"Searches tried {of(reasons.total(), 'candidate')} and kept none: {why}.")


def _dev_scores(records: Records) -> dict[str, float]:
    """Mean score on the dev samples, by hint, in the last search that tried it on them."""
    means = {}
    for hint, scores in records.rows("candidates", ["hint", "dev_scores"]):
        if scores:
            means[hint] = sum(score["score"] for score in scores) / len(scores)
    return means


def _show_unlocked(records: Records, lived: list[Life], name: str, console: Terminal) -> None:
    console.print("Which problems did that unlock?", style="bold")
    hard = [life for life in lived if life.hard is not None]
    unlocked = [life for life in lived if life.unlocked is not None]
    console.print(
        f"{len(hard):,} of {of(len(lived), 'training problem')} were hard at the end of an epoch; "
        f"{len(unlocked):,} were first solved with a hint."
    )
    if unlocked:
        epochs_of = Counter(life.unlocked for life in unlocked)
        console.print(
            "First solved with a hint, by epoch, counted from 0: "
            + ", ".join(f"{count:,} in {epoch}" for epoch, count in sorted(epochs_of.items()))
        )
        questions = dict(records.rows("problems", ["problem", "question"]))
        shown = table("", "problem", "question", "hint", left=("problem", "question", "hint"))
        for life in unlocked[:MOST_PROBLEMS]:
            question = clipped(questions.get(life.problem) or "", LONGEST)
            shown.add_row(life.problem[:SHORT], question, (life.hint or "")[:SHORT])
        console.print(shown)
        console.print(
            f"The life of one: p2o-show {name} problem {unlocked[0].problem[:SHORT]}",
            soft_wrap=True,
        )
    console.print()


def _show_need(lived: list[Life], by_epoch: list[Any], console: Terminal, is_sampled: bool) -> None:
    console.print("Do they still need it?", style="bold")
    unlocked = [life for life in lived if life.unlocked is not None]
    if unlocked:
        states = Counter(life.state for life in unlocked)
        lags = [life.lag for life in unlocked if life.internalised is not None]
        lag = f", {sum(lags) / len(lags):.1f} epochs later on average" if lags else ""
        console.print(
            f"Of {of(len(unlocked), 'unlocked problem')} {len(lags):,} were solved without a hint "
            f"later on{lag}. At the end {states[BARE]:,} are, {states[HINTED]:,} only with one, "
            f"{states[RELAPSED]:,} have relapsed, and {states[UNSOLVED]:,} were solved by the "
            "search alone."
        )
    elif lived:
        console.print("No hint has unlocked a problem, so there is none that they could need.")
    shown = table(
        "Problems and accuracy by epoch, counted from 0 (-1: before training)",
        *("epoch", "hard", "never", "hint", "bare", "relapsed", "hinted acc", "reliance"),
        "held out",
    )
    for row in by_epoch:
        trained = any(row[state] for state in (UNSOLVED, HINTED, BARE, RELAPSED))
        counts = [number(row[s]) if trained else "-" for s in (UNSOLVED, HINTED, BARE, RELAPSED)]
        shown.add_row(
            str(row["epoch"]),
            number(row["hard"]),
            *counts,
            percent(row["hinted_accuracy"]),
            number(row["reliance"], ".2f"),
            percent(row["held_out_accuracy"]),
        )
    console.print(shown)
    console.print(
        "never, hint, bare, relapsed: problems by what has solved them so far. hinted acc: with "
        "hints, on what was hard before. reliance: log-probability that a hint adds to a token of "
        "a right response. held out: accuracy on held-out problems, as the run asks them."
        + (" hard: of all training problems, not of those on record alone." if is_sampled else "")
    )
