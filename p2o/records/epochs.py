"""What each epoch of a run came to, derived from its records."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import Any

import pyarrow as pa

from p2o.records.lives import BARE, HINTED, RELAPSED, UNSOLVED, attempts, follow, hard_sets
from p2o.records.reading import Records

EPOCHS = pa.schema(
    {
        "epoch": pa.int32(),
        "held_out_accuracy": pa.float32(),
        "hard": pa.int32(),
        "bare_accuracy": pa.float32(),
        "hinted_accuracy": pa.float32(),
        **{state: pa.int32() for state in (UNSOLVED, HINTED, BARE, RELAPSED)},
        "unlocked": pa.int32(),
        "internalised": pa.int32(),
        "internalisation_rate": pa.float32(),
        "internalisation_lag": pa.float32(),
        "forgetting": pa.float32(),
        "hints": pa.int32(),
        "diversity": pa.float32(),
        "turnover": pa.float32(),
        "reliance": pa.float32(),
    }
)


def epochs(records: Records) -> pa.Table:
    """One row for each epoch; the evaluation before training is epoch -1.

    | column | what |
    |---|---|
    | ``held_out_accuracy`` | of the last evaluation in the epoch |
    | ``hard`` | size of the hard set at its end, problems without rollouts on record included |
    | ``bare_accuracy``, ``hinted_accuracy`` | share of rollouts without and with a hint that \
solve problems which were hard at the end of the epoch before; trials of the search included |
    | ``unsolved``, ``hinted``, ``bare``, ``relapsed`` | problems in each state at its end |
    | ``unlocked`` | problems so far that a hint has solved first; see `p2o.records.lives` |
    | ``internalised`` | those of them that were solved without a hint later on |
    | ``internalisation_rate`` | their share |
    | ``internalisation_lag`` | mean number of epochs from the one to the other |
    | ``forgetting`` | share of the internalised that are relapsed |
    | ``hints`` | different hints in use |
    | ``diversity`` | mean share of words that two hints in use do not have in common |
    | ``turnover`` | share of the hints in use that were not in the epoch before |
    | ``reliance`` | mean of the training rollouts with a hint that are right, where measured |

    A value that an epoch has no rows for is null.
    """
    return pa.Table.from_pylist(epoch_rows(records), schema=EPOCHS)


def epoch_rows(records: Records) -> list[dict[str, Any]]:
    """The rows of `epochs` as plain values."""
    (lived, by_epoch), hard = follow(records), hard_sets(records)
    by_state: defaultdict[int, Counter[str]] = defaultdict(Counter)
    relapsed: set[tuple[int, str]] = set()
    for epoch, problem, state in by_epoch:
        by_state[epoch][state] += 1
        if state == RELAPSED:
            relapsed.add((epoch, problem))
    held_out = _held_out(records)
    accuracies, ended = _accuracies(records, hard), records.ended_epochs()
    pools = _pools(records)
    texts, reliance = records.texts(), _reliance(records)
    rows = []
    for epoch in sorted({*by_state, *held_out, *hard, *pools}):
        unlocked = [life for life in lived if _by(life.unlocked, epoch)]
        lags = {life.problem: life.lag for life in unlocked if _by(life.internalised, epoch)}
        lost = [problem for problem in lags if (epoch, problem) in relapsed]
        in_use, before = pools.get(epoch, set()), pools.get(epoch - 1, set())
        rows.append(
            {
                "epoch": epoch,
                "held_out_accuracy": held_out.get(epoch),
                # An empty hard set leaves no rows.
                "hard": len(hard.get(epoch, ())) if epoch in {*hard, *ended} else None,
                "bare_accuracy": accuracies.get((epoch, False)),
                "hinted_accuracy": accuracies.get((epoch, True)),
                **{state: by_state[epoch][state] for state in (UNSOLVED, HINTED, BARE, RELAPSED)},
                "unlocked": len(unlocked),
                "internalised": len(lags),
                "internalisation_rate": len(lags) / len(unlocked) if unlocked else None,
                "internalisation_lag": _mean(lags.values()),
                "forgetting": len(lost) / len(lags) if lags else None,
                "hints": len(in_use),
                "diversity": diversity([texts.get(hint, "") for hint in sorted(in_use)]),
                "turnover": len(in_use - before) / len(in_use) if in_use else None,
                "reliance": reliance.get(epoch),
            }
        )
    return rows


def diversity(texts: Sequence[str]) -> float | None:
    """Mean Jaccard distance of the words of two texts; None for fewer than two.

    Example::

        >>> diversity(["go slowly", "go fast"])
        0.6666666666666667
    """
    words = [set(text.lower().split()) for text in texts]
    return _mean([1 - len(a & b) / max(1, len(a | b)) for a, b in combinations(words, 2)])


def _held_out(records: Records) -> dict[int, float]:
    """Accuracy of the last evaluation in each epoch."""
    found: defaultdict[int, dict[int, list[bool]]] = defaultdict(lambda: defaultdict(list))
    for epoch, step, solved in records.rows(
        "rollouts", ["epoch", "step", "solved"], phase="held_out"
    ):
        if epoch is not None:
            found[epoch][step or 0].append(bool(solved))
    return {epoch: _share(steps[max(steps)]) for epoch, steps in found.items()}


def _accuracies(records: Records, hard: Mapping[int, set[str]]) -> dict[tuple[int, bool], float]:
    """On what was hard at the end of the epoch before, by epoch and whether hinted."""
    found: defaultdict[tuple[int, bool], list[bool]] = defaultdict(list)
    for attempt in attempts(records):
        if attempt.problem in hard.get(attempt.epoch - 1, ()):
            found[attempt.epoch, attempt.hinted].append(attempt.solved)
    return {key: _share(solved) for key, solved in found.items()}


def _reliance(records: Records) -> dict[int, float]:
    found: defaultdict[int, list[float]] = defaultdict(list)
    for epoch, value in records.rows(
        "rollouts", ["epoch", "reliance"], phase="training", hinted=True, solved=True
    ):
        if epoch is not None and value is not None:
            found[epoch].append(value)
    return {epoch: sum(values) / len(values) for epoch, values in found.items()}


def _pools(records: Records) -> dict[int, set[str]]:
    """The hints in use in each epoch."""
    pools: defaultdict[int, set[str]] = defaultdict(set)
    for epoch, hint in records.rows("pool", ["epoch", "hint"]):
        pools[epoch] |= {hint} if hint else set()
    return dict(pools)


def _by(epoch: int | None, now: int) -> bool:
    return epoch is not None and epoch <= now


def _share(values: Sequence[bool]) -> float:
    return sum(values) / len(values)


def _mean(values: Iterable[float]) -> float | None:
    numbers = list(values)
    return sum(numbers) / len(numbers) if numbers else None
