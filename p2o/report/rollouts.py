"""Rollouts of a run as columns, in the order in which they were sampled."""

from collections.abc import Mapping, Sequence
from typing import Any

Columns = dict[str, list[Any]]
"""A table: name of a column to its values."""

ScoredTokens = tuple[list[str], list[float]]
"""Text of each token of a response, and log pi(y|x) - log pi(y|x~) of each."""

ORDER = {"evolution": 0, "training": 1, "held_out": 2}
"""Phases within an epoch: the search comes before the rollouts that use its hints."""
PLACE = ("epoch", "phase", "step", "group", "index")


def in_order(table: Mapping[str, Sequence[Any]]) -> Columns:
    """Sort rows by the place where they were sampled.

    Args:
        table: Columns, `PLACE` among them.
    """
    epochs, phases, steps, groups, indices = (table[name] for name in PLACE)
    rows = sorted(
        range(len(epochs)),
        key=lambda row: (
            epochs[row],
            ORDER.get(phases[row], len(ORDER)),
            # Another version may not have these.
            *(column[row] or 0 for column in (steps, groups, indices)),
        ),
    )
    return {name: [values[row] for row in rows] for name, values in table.items()}


def of_phase(rollouts: Columns, phase: str) -> list[int]:
    """Row numbers of one phase."""
    return [row for row, own in enumerate(rollouts["phase"]) if own == phase]


def scored_tokens(rollouts: Columns, tokens: Columns) -> dict[int, ScoredTokens]:
    """Tokens and their context ratios of the training rollouts that have them, by row number.

    Args:
        rollouts: In order.
        tokens: The table of that name in the records.
    """
    places = ("epoch", "group", "index")
    rows = {
        tuple(rollouts[name][row] for name in places): row for row in of_phase(rollouts, "training")
    }
    columns = (tokens[name] for name in (*places, "tokens", "log_ratios"))
    found = {}
    for *place, texts, ratios in zip(*columns, strict=True):
        row = rows.get(tuple(place))
        if row is not None and texts and ratios and len(texts) == len(ratios):
            found[row] = texts, ratios
    return dict(sorted(found.items()))


def spent_tokens(rollouts: Columns, counts: Sequence[float]) -> list[float] | None:
    """Tokens sampled by the time that some numbers of rollouts were spent, search included.

    Args:
        rollouts: All of a run, in order.
        counts: Numbers of rollouts of training and search, ascending.

    Returns:
        None where fewer rollouts are on record than were spent.
    """
    sums = [0]
    for phase, tokens in zip(rollouts["phase"], rollouts["tokens"], strict=True):
        if phase != "held_out":
            sums.append(sums[-1] + tokens)
    if not counts or len(sums) - 1 < counts[-1]:
        return None
    return [float(sums[int(count)]) for count in counts]
