"""What became of each problem, derived from the records of a run."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass

import pyarrow as pa

from p2o.records.reading import Records

UNSOLVED, HINTED, BARE, RELAPSED = "unsolved", "hinted", "bare", "relapsed"
"""States of a problem: no rollout is right so far; one with a hint is; one without is; one without
was, and in the last epoch that asked without a hint none is."""
STATES = (UNSOLVED, HINTED, BARE, RELAPSED)
PHASES = ("evolution", "training")
"""Phases of an epoch with training problems, in their order."""

LIVES = pa.schema(
    {
        "problem": pa.string(),
        "hard": pa.int32(),
        "unlocked": pa.int32(),
        "hint": pa.string(),
        "internalised": pa.int32(),
        "relapsed": pa.int32(),
        "state": pa.string(),
    }
)
STATES_BY_EPOCH = pa.schema({"epoch": pa.int32(), "problem": pa.string(), "state": pa.string()})


@dataclass(frozen=True)
class Attempt:
    """One rollout of a training problem, in a search or in training."""

    epoch: int
    phase: str
    problem: str
    hint: str
    hinted: bool
    solved: bool
    step: int = 0

    @property
    def moment(self) -> tuple[int, int]:
        """Epoch and step; two attempts of the same one are of the same weights."""
        return self.epoch, self.step


@dataclass
class Life:
    """What became of one problem so far; all numbers are epochs."""

    problem: str
    hard: int | None = None
    unlocked: int | None = None
    hint: str | None = None
    internalised: int | None = None
    relapsed: int | None = None
    state: str = UNSOLVED

    @property
    def lag(self) -> int:
        """Epochs from the first success with a hint to the first one without."""
        return (self.internalised or 0) - (self.unlocked or 0)


def lives(records: Records) -> pa.Table:
    """One row for each training problem, in the order in which they were first tried.

    | column | what |
    |---|---|
    | ``hard`` | epoch at whose end it was first hard |
    | ``unlocked``, ``hint`` | epoch in which a rollout with a hint first solved it, and which, \
where none without a hint had solved it by that step |
    | ``internalised`` | epoch in which, later on, a training rollout without a hint first did |
    | ``relapsed`` | first epoch after that with rollouts without a hint, none of which did |
    | ``state`` | at the end: one of `STATES` |

    A trial of a search counts as a rollout with a hint, and belongs to the epoch that it is for.
    """
    return pa.Table.from_pylist([asdict(life) for life in follow(records)[0]], schema=LIVES)


def states(records: Records) -> pa.Table:
    """The state of each training problem at the end of each epoch: ``epoch, problem, state``.

    One that an epoch did not reach keeps its state, and so does one that was solved without a hint
    and was not asked without one since.
    """
    rows = [
        {"epoch": epoch, "problem": problem, "state": state}
        for epoch, problem, state in follow(records)[1]
    ]
    return pa.Table.from_pylist(rows, schema=STATES_BY_EPOCH)


def attempts(records: Records) -> list[Attempt]:
    """The rollouts of training problems in the order of the run; those without a verdict failed."""
    columns = ["epoch", "phase", "problem", "hint", "hinted", "solved", "step"]
    found = [
        Attempt(epoch, phase, problem, hint or "", bool(hinted), bool(solved), step or 0)
        for epoch, phase, problem, hint, hinted, solved, step in records.rows(
            "rollouts", columns, phase=PHASES
        )
        if epoch is not None and problem is not None
    ]
    return sorted(found, key=lambda attempt: (*attempt.moment, PHASES.index(attempt.phase)))


def hard_sets(records: Records) -> dict[int, set[str]]:
    """The hard set at the end of each epoch."""
    sets: defaultdict[int, set[str]] = defaultdict(set)
    for epoch, problem in records.rows("hard", ["epoch", "problem"]):
        sets[epoch].add(problem)
    return dict(sets)


def follow(records: Records) -> tuple[list[Life], list[tuple[int, str, str]]]:
    """All lives, and epoch, problem and state for the end of each epoch; see `lives`, `states`."""
    known: dict[str, Life] = {}
    by_epoch: list[tuple[int, str, str]] = []
    made = attempts(records)
    without = _first_without(made)
    for epoch, tried in _by_epoch(made):
        # By problem, whether a training rollout without a hint was right, if there was one.
        bare: dict[str, bool] = {}
        hinted = set()
        for attempt in tried:
            problem, solved = attempt.problem, attempt.solved
            life = known.setdefault(problem, Life(problem))
            if attempt.hinted:
                if solved:
                    hinted.add(problem)
                    # What the same weights solve without a hint, none has unlocked. So any success
                    # without one comes after the unlocking, and something was learned in between.
                    bare_before = problem in without and without[problem] <= attempt.moment
                    if life.unlocked is None and not bare_before:
                        life.unlocked, life.hint = epoch, attempt.hint
            elif attempt.phase == "training":
                bare[problem] = bare.get(problem, False) or solved
        for problem in dict.fromkeys(a.problem for a in tried if a.phase == "training"):
            _close(known[problem], epoch, bare.get(problem), problem in hinted)
        by_epoch += [(epoch, life.problem, life.state) for life in known.values()]
    for epoch, problems in sorted(hard_sets(records).items()):
        for problem in problems & known.keys():
            if known[problem].hard is None:
                known[problem].hard = epoch
    return list(known.values()), by_epoch


def _close(life: Life, epoch: int, bare: bool | None, hinted: bool) -> None:
    """Take over what an epoch's rollouts of a problem show.

    Args:
        life: So far.
        epoch: That has ended.
        bare: Whether one without a hint was right; None where there was none.
        hinted: Whether one with a hint was.
    """
    if bare:
        life.state = BARE
        if life.unlocked is not None and life.internalised is None:
            life.internalised = epoch
    elif life.state in (BARE, RELAPSED):
        if bare is None:
            return
        life.state = RELAPSED
        if life.internalised is not None and life.relapsed is None:
            life.relapsed = epoch
    elif hinted:
        life.state = HINTED


def _first_without(found: list[Attempt]) -> dict[str, tuple[int, int]]:
    """When each problem was first solved without a hint, of attempts in their order."""
    first: dict[str, tuple[int, int]] = {}
    for attempt in found:
        if attempt.solved and not attempt.hinted:
            first.setdefault(attempt.problem, attempt.moment)
    return first


def _by_epoch(found: list[Attempt]) -> Iterator[tuple[int, list[Attempt]]]:
    epochs: defaultdict[int, list[Attempt]] = defaultdict(list)
    for attempt in found:
        epochs[attempt.epoch].append(attempt)
    yield from sorted(epochs.items())
