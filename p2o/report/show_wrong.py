"""What a policy got wrong without a hint, in the terminal."""

from typing import Any

from p2o.records import Records
from p2o.report.shown import SHORT, about, clipped, of
from p2o.running.terminal import Terminal

MOST = 5
LONGEST = 500
"""Characters of a question or a response that are shown where not all is asked for."""
PHASES = ("held_out", "training")
"""Where the policy is asked; in the order in which wrong responses are shown."""
COLUMNS = ("phase", "epoch", "problem", "response", "reward", "solved", "answer", "detail")


def show_wrong(records: Records, name: str, everything: bool, console: Terminal) -> None:
    """Show wrong responses without a hint, of the last epoch that has any.

    Args:
        records: Of the run.
        name: The run, as a command takes it.
        everything: Whether to show all of them in full; else one for each of the first problems.
        console: Where to.
    """
    asked = records.query("rollouts", COLUMNS, phase=PHASES, hinted=False).to_pylist()
    wrong = [row for row in asked if row["solved"] is False]
    if not wrong:
        console.print(
            f"{name}: of {of(len(asked), 'response')} without a hint none is wrong", soft_wrap=True
        )
        return
    epoch, last = (max(row["epoch"] or 0 for row in some) for some in (wrong, asked))
    rows = [row for row in wrong if (row["epoch"] or 0) == epoch]
    rows.sort(key=lambda row: PHASES.index(row["phase"]))
    if last > epoch:
        console.print(f"{name}: nothing was wrong after epoch {epoch}.", soft_wrap=True)
    when = f"in epoch {epoch}" if epoch >= 0 else "before training"
    console.print(
        f"{of(len(rows), 'wrong response')} without a hint {when}, "
        f"to {of(len({row['problem'] for row in rows}), 'problem')}:\n"
    )
    first: dict[str, dict[str, Any]] = {}
    for row in rows:
        first.setdefault(row["problem"], row)
    shown = rows if everything else list(first.values())[:MOST]
    problems = {row["problem"]: row for row in records.problems().to_pylist()}
    for row in shown:
        _show(row, problems.get(row["problem"], {}), everything, console)
    if len(rows) > len(shown):
        console.print(f"All {len(rows):,} of them: p2o-show {name} wrong --all", soft_wrap=True)
    console.print(
        f"The life of one: p2o-show {name} problem {rows[0]['problem'][:SHORT]}", soft_wrap=True
    )


def _show(
    row: dict[str, Any], problem: dict[str, Any], everything: bool, console: Terminal
) -> None:
    def whole(text: str | None) -> str:
        return (text or "") if everything else clipped(text or "", LONGEST)

    phase = row["phase"].replace("_", " ")
    console.print(f"problem {row['problem'][:SHORT]}, {phase}", style="bold")
    console.print(whole(problem.get("question")), soft_wrap=True)
    if told := about(problem):
        console.print(told, soft_wrap=True)
    facts = [f"right: {problem.get('gold')}"]
    if row["answer"] is not None:
        facts.append(f"answer: {clipped(row['answer'], 40)}")
    if row["reward"] is not None:
        facts.append(f"reward: {row['reward']:.2f}")
    console.print("; ".join(facts), soft_wrap=True)
    if row["detail"]:
        console.print(f"({clipped(row['detail'], LONGEST)})", soft_wrap=True)
    console.print(f"{whole(row['response'])}\n", soft_wrap=True)
