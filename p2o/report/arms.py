"""Runs that differ in their seed alone are one arm."""

from collections.abc import Mapping, Sequence
from statistics import mean

from p2o.errors import UserError
from p2o.report.intervals import Difference, paired_difference
from p2o.report.runs import Run

APART = ("seed", "resume", "resume_changed", "ckpt_path", "logger", "hydra", "data_root")
"""Settings that make no other arm."""
PLAIN = "default"
"""Name of the arm without settings of its own."""

Arms = dict[str, list[Run]]


def group_arms(runs: Sequence[Run]) -> Arms:
    """Runs by arm, in the order in which arms first come.

    An arm is called by those of its overrides that not all runs have.
    """
    settings = [_settings(run) for run in runs]
    shared = set(settings[0]).intersection(*settings) if len(set(settings)) > 1 else set()
    arms: Arms = {}
    for run, own in zip(runs, settings, strict=True):
        name = ", ".join(each for each in own if each not in shared) or PLAIN
        arms.setdefault(name, []).append(run)
    return arms


def _settings(run: Run) -> tuple[str, ...]:
    """Overrides that make an arm, sorted."""
    return tuple(sorted(each for each in run.overrides if not _is_apart(each)))


def _is_apart(override: str) -> bool:
    key = override.lstrip("+~").partition("=")[0]
    return key in APART or key.partition(".")[0] in ("hydra",)


def choose_arm(arms: Arms, name: str | None) -> str:
    """The arm that others are compared with; the first one when left out.

    Raises:
        UserError: There is none of that name, or several have it in theirs.
    """
    if name is None:
        return next(iter(arms))
    exact = [arm for arm in arms if arm == name]
    found = exact or [arm for arm in arms if name in arm]
    if len(found) != 1:
        said = "is in the names of several arms" if found else "is no arm"
        raise UserError(f"--against={name}: {said}; there are: {'; '.join(arms)}")
    return found[0]


def final(run: Run, measure: str) -> float | None:
    """An accuracy at the end of a run, or so far: ``accuracy`` or ``hard_accuracy``."""
    after = (run.summary.get(measure) or {}).get("after")
    if after is None:
        column = {"accuracy": "val/accuracy", "hard_accuracy": "val/hard_accuracy"}[measure]
        values = run.column(column)
        after = values[-1][1] if values else None
    return after


def has_ended(run: Run) -> bool:
    """Whether a run came to its end, or was ended by a guard: it has left a summary."""
    return bool(run.summary)


def by_seed(runs: Sequence[Run], measure: str) -> Mapping[int | None, float]:
    """The final accuracy for each seed; the mean where several runs have the same.

    Runs that have not ended have none: one that goes on in another folder is a run of its own.
    """
    values: dict[int | None, list[float]] = {}
    for run in filter(has_ended, runs):
        value = final(run, measure)
        if value is not None:
            values.setdefault(run.seed, []).append(value)
    return {seed: mean(own) for seed, own in values.items()}


def differences(arms: Arms, against: str, measure: str) -> dict[str, Difference]:
    """Each other arm against one of them, with seeds as pairs."""
    base = by_seed(arms[against], measure)
    found = {}
    for arm, runs in arms.items():
        if arm != against:
            own = by_seed(runs, measure)
            shared = sorted(seed for seed in own if seed is not None and seed in base)
            found[arm] = paired_difference([own[seed] - base[seed] for seed in shared])
    return found
