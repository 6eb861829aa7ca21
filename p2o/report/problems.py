"""What became of training problems: numbers by epoch, stories, weights against hints."""

from collections import Counter
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from p2o.report.rollouts import Columns, of_phase

STATES = {
    "bare": "solved without a hint",
    "hinted": "solved only with a hint",
    "relapsed": "solved before, not now",
    "unsolved": "never solved",
}
"""States of `p2o.records.lives`, as the report calls them; best first."""


def river(states: Iterable[tuple[int, str, str]]) -> list[dict[str, int]]:
    """How many problems are in each state at the end of each epoch.

    Args:
        states: Epoch, problem and state; see `p2o.records.states`.

    Returns:
        A row for each epoch: ``epoch`` and the number for each of `STATES`. Epochs of training
        alone.
    """
    counts: dict[int, Counter[str]] = {}
    for epoch, _, state in states:
        counts.setdefault(epoch, Counter())[state] += 1
    return [
        {"epoch": epoch, **{state: counts[epoch][state] for state in STATES}}
        for epoch in sorted(counts)
    ]


@dataclass(frozen=True)
class Story:
    """The rollouts that tell what became of a problem, as row numbers; None where there is none.

    Attributes:
        failure: First bare failure.
        hinted: First success with a hint.
        internalised: First bare success of training in the epoch that counts as internalised.
        life: Row of `p2o.records.lives`.
        scored: The first and the last success with a hint whose tokens were compared with and
            without it.
    """

    failure: int | None
    hinted: int | None
    internalised: int | None
    life: Mapping[str, Any]
    scored: tuple[int, ...] = ()


def stories(
    rollouts: Columns, lives: Sequence[Mapping[str, Any]], scored: Container[int] = ()
) -> dict[str, Story]:
    """The story of each training problem, by its id.

    Args:
        rollouts: In order; see `p2o.report.rollouts.in_order`.
        lives: Rows of `p2o.records.lives`.
        scored: Row numbers of rollouts whose tokens were compared with and without a hint.
    """
    rows: dict[str, list[int]] = {}
    for row, phase in enumerate(rollouts["phase"]):
        if phase != "held_out":
            rows.setdefault(rollouts["problem"][row], []).append(row)
    found = {}
    for life in lives:
        own = rows.get(life["problem"], [])
        compared = [row for row in own if row in scored]
        found[life["problem"]] = Story(
            next((row for row in own if _is_bare_failure(rollouts, row)), None),
            next((row for row in own if _is_success(rollouts, row, life["unlocked"], True)), None),
            next(
                (
                    row
                    for row in own
                    if _is_success(rollouts, row, life["internalised"], False)
                    and rollouts["phase"][row] == "training"
                ),
                None,
            ),
            life,
            tuple(dict.fromkeys([*compared[:1], *compared[-1:]])),
        )
    return found


def _is_bare_failure(rollouts: Columns, row: int) -> bool:
    return rollouts["solved"][row] is False and not rollouts["hinted"][row]


def _is_success(rollouts: Columns, row: int, epoch: int | None, hinted: bool) -> bool:
    return (
        rollouts["epoch"][row] == epoch
        and bool(rollouts["solved"][row])
        and bool(rollouts["hinted"][row]) == hinted
    )


@dataclass(frozen=True)
class Cell:
    """One field of the table of weights and hints.

    Attributes:
        right: Sum of the problems' success rates.
        number: Problems.
    """

    right: float = 0.0
    number: int = 0

    @property
    def share(self) -> float | None:
        """Mean success rate; None without a problem."""
        return self.right / self.number if self.number else None


@dataclass(frozen=True)
class TwoByTwo:
    """Accuracy by weights (before, after) and hints (without, with).

    Attributes:
        cells: By (``"before"`` or ``"after"``, ``"without"`` or ``"with"``).
        problems: What they were measured on, in words.
        at_once: Whether both cells of ``"after"`` are of the same weights, for every problem.
        mixed: Whether some problem was asked with a hint and without one in the same epoch.
        selected: Whether problems were chosen by what became of them, as those of training are.
    """

    cells: Mapping[tuple[str, str], Cell]
    problems: str
    at_once: bool = True
    mixed: bool = False
    selected: bool = False


CELLS = [(weights, hints) for weights in ("before", "after") for hints in ("without", "with")]


def two_by_two(rollouts: Columns) -> TwoByTwo | None:
    """Weights and hints on held-out problems if these were tried with hints, else on training's."""
    return _held_out(rollouts) or _training(rollouts)


def _training(rollouts: Columns) -> TwoByTwo | None:
    """Weights and hints on the training problems that were ever given a hint.

    For each of them ``before`` are the last epoch with bare rollouts before its first hint and the
    first epoch with hinted ones; ``after`` are the last epoch with bare and the last with hinted
    rollouts, where these are later than that first one.
    """
    rates: dict[tuple[str, str], list[float]] = {cell: [] for cell in CELLS}
    given, at_once, mixed = 0, True, False
    for tried in _tries(rollouts).values():
        with_hint = sorted(epoch for epoch, hinted in tried if hinted)
        if not with_hint:
            continue
        given += 1
        first = with_hint[0]
        bare = sorted(epoch for epoch, hinted in tried if not hinted)
        chosen = {
            ("before", "without"): (max((e for e in bare if e < first), default=None), False),
            ("before", "with"): (first, True),
            ("after", "without"): (max((e for e in bare if e > first), default=None), False),
            ("after", "with"): (with_hint[-1] if with_hint[-1] > first else None, True),
        }
        at_once &= chosen["after", "without"][0] == chosen["after", "with"][0]
        mixed |= not set(bare).isdisjoint(with_hint)
        for cell, (epoch, hinted) in chosen.items():
            if epoch is not None:
                solved = tried[epoch, hinted]
                rates[cell].append(sum(solved) / len(solved))
    if not given:
        return None
    cells = {cell: Cell(sum(values), len(values)) for cell, values in rates.items()}
    problems = f"{given} training problems that were given a hint"
    return TwoByTwo(cells, problems, at_once, mixed, selected=True)


def _tries(rollouts: Columns) -> dict[str, dict[tuple[int, bool], list[bool]]]:
    """Verdicts of training by problem, and by epoch and whether hinted."""
    found: dict[str, dict[tuple[int, bool], list[bool]]] = {}
    for row in of_phase(rollouts, "training"):
        solved = rollouts["solved"][row]
        if solved is not None:
            place = rollouts["epoch"][row], bool(rollouts["hinted"][row])
            own = found.setdefault(rollouts["problem"][row], {})
            own.setdefault(place, []).append(solved)
    return found


def _held_out(rollouts: Columns) -> TwoByTwo | None:
    """Weights and hints on held-out problems, where the first or the last evaluation has hints.

    An evaluation asks with a hint or without one, so that of each two cells one is not measured:
    evaluations between the first and the last are of weights that are neither before nor after.
    """
    places: dict[tuple[int, int], dict[bool, dict[str, list[bool]]]] = {}
    for row in of_phase(rollouts, "held_out"):
        solved = rollouts["solved"][row]
        if solved is not None:
            place = rollouts["epoch"][row], rollouts["step"][row] or 0
            own = places.setdefault(place, {}).setdefault(bool(rollouts["hinted"][row]), {})
            own.setdefault(rollouts["problem"][row], []).append(solved)
    if not places:
        return None
    ends = {"before": places[min(places)]}
    if len(places) > 1:
        ends["after"] = places[max(places)]
    if not any(True in kinds for kinds in ends.values()):
        return None
    cells = dict.fromkeys(CELLS, Cell())
    for weights, kinds in ends.items():
        for hinted, solved in kinds.items():
            cells[weights, "with" if hinted else "without"] = _mean_rate(solved)
    number = max(cell.number for cell in cells.values())
    return TwoByTwo(cells, f"{number} held-out problems")


def _mean_rate(solved: Mapping[str, Sequence[bool]]) -> Cell:
    return Cell(sum(sum(own) / len(own) for own in solved.values()), len(solved))
