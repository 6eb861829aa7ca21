"""What came of a bench as tables: cells of text, and the same as numbers."""

import csv
import io
from collections.abc import Mapping, Sequence
from statistics import fmean

from rich.box import SIMPLE_HEAD
from rich.table import Table

from p2o.accounting.ledger import METHOD
from p2o.bench.claims import Verdict
from p2o.bench.findings import Findings
from p2o.bench.outcomes import Difference, Result, reached_at, spread

SPENT = ("rollouts", "metric_calls", "generated_tokens", "reflection_tokens")
SPENT += ("scored_tokens", "trained_tokens", "seconds")
"""Counters of the ledger that are shown."""

Cells = Sequence[Sequence[str]]
"""Rows of texts, the first one the header."""


def accuracy_cells(findings: Findings) -> list[list[str]]:
    """How good each arm became, in per cent."""
    results, level = findings.results, findings.learned
    reference = results[findings.reference]
    minus = f"minus {reference.arm.label}"
    rows = [["arm", "end", "hard", "along", minus, f"{level:.0%} at"]]
    for name, result in results.items():
        hard = [o.hard_accuracy for o in result.outcomes if o.hard_accuracy is not None]
        rows.append(
            [
                _label(result),
                _percent(list(result.accuracies("end").values())),
                _percent(hard),
                _percent(list(result.accuracies("along").values())),
                "" if name == findings.reference else _points(result.compared_with(reference)),
                _learned(result, level),
            ]
        )
    return rows


def spending_cells(findings: Findings) -> list[list[str]]:
    """What each arm spent on the method, means over seeds, held-out evaluation not counted."""
    rows = [["arm", *(counter.replace("_", " ") for counter in SPENT)]]
    for result in findings.results.values():
        means = [_mean_spent(result, counter) for counter in SPENT]
        shown = ["-" if value is None else short(value) for value in means]
        rows.append([result.arm.label, *shown])
    return rows


def claim_cells(findings: Findings) -> list[list[str]]:
    """What was claimed, what was measured, in points of per cent, and whether it held."""
    return [
        ["claim", "measured", "verdict"],
        *([_claim(each), _points(each.difference), each.word] for each in findings.verdicts),
    ]


def without(cells: Cells, name: str) -> list[list[str]]:
    """Cells less one column."""
    left_out = cells[0].index(name)
    return [[cell for place, cell in enumerate(row) if place != left_out] for row in cells]


def shown(title: str, cells: Cells) -> Table:
    """Cells as a table for a terminal; where that is narrow, the first column gives way."""
    table = Table(title=title, box=SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0))
    table.add_column(cells[0][0])
    for name in cells[0][1:]:
        table.add_column(name.replace(" ", "\n"), justify="right", no_wrap=True)
    for row in cells[1:]:
        table.add_row(*row)
    return table


def markdown(cells: Cells, right: bool = True) -> str:
    """Cells as a table of Markdown.

    Args:
        cells: Rows, the first one the header.
        right: Whether all columns but the first hold numbers.
    """
    rows = [[cell.replace("|", "\\|") for cell in row] for row in cells]
    ruler = ["---", *["---:" if right else "---"] * (len(rows[0]) - 1)]
    return "".join(f"| {' | '.join(row)} |\n" for row in (rows[0], ruler, *rows[1:]))


def numbers(findings: Findings) -> str:
    """Every run as a row of CSV; accuracies are shares, not per cent."""
    file = io.StringIO()
    columns = ("arm", "seed", "accuracy", "hard_accuracy", "mean_accuracy", "learned_at")
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([*columns, "collapsed", *SPENT])
    for name, result in findings.results.items():
        along = result.accuracies("along")
        for outcome in result.outcomes:
            row = [name, outcome.seed, outcome.accuracy, outcome.hard_accuracy]
            row += [along.get(outcome.seed), reached_at(outcome.curve, findings.learned)]
            row += [outcome.summary["collapse"] is not None]
            ledger = outcome.summary["ledger"]
            writer.writerow(row + [_spent(ledger, counter) for counter in SPENT])
    return file.getvalue()


def short(value: float) -> str:
    """A number of at most six characters.

    Example::

        >>> [short(value) for value in (0, 812.3, 10_043, 1_234_567, 2.5e9)]
        ['0', '812', '10,043', '1,235k', '2,500M']
    """
    for limit, divisor, unit in ((99_999.5, 1, ""), (9.9995e6, 1e3, "k"), (9.9995e9, 1e6, "M")):
        if value < limit:
            return f"{value / divisor:,.0f}{unit}"
    return f"{value:.0e}"


def _label(result: Result) -> str:
    collapsed = sum(outcome.summary["collapse"] is not None for outcome in result.outcomes)
    notes = [f"{result.unfinished} not ended"] * (result.unfinished > 0)
    notes += [f"{collapsed} collapsed"] * (collapsed > 0)
    return f"{result.arm.label} ({', '.join(notes)})" if notes else result.arm.label


def _claim(verdict: Verdict) -> str:
    """A claim, and what it is judged by where that is not the mean along the way."""
    return verdict.claim if verdict.by == "along" else f"{verdict.claim} (at the {verdict.by})"


def _percent(values: Sequence[float]) -> str:
    if not values:
        return "-"
    found = spread(values)
    if len(values) == 1:
        return f"{100 * found.mean:.1f}"
    return f"{100 * found.mean:.1f} ± {100 * found.deviation:.1f}"


def _points(difference: Difference | None) -> str:
    """A difference in points of per cent, with its interval where there is one."""
    if difference is None:
        return "-"
    text = f"{100 * difference.mean:+.1f}"
    if difference.interval is None:
        return text
    low, high = difference.interval
    return f"{text} [{100 * low:+.0f}, {100 * high:+.0f}]"


def _learned(result: Result, level: float) -> str:
    """After how much on average, and how many of the seeds."""
    places = [reached_at(outcome.curve, level) for outcome in result.outcomes]
    reached = [place for place in places if place is not None]
    share = f"({len(reached)}/{len(places)})"
    return f"{fmean(reached):,.0f} {share}" if reached else share


def _mean_spent(result: Result, counter: str) -> float | None:
    values = [_spent(outcome.summary["ledger"], counter) for outcome in result.outcomes]
    return fmean(values) if values else None


def _spent(ledger: Mapping[str, Mapping[str, float]], counter: str) -> float:
    return sum(ledger[phase][counter] for phase in METHOD)
