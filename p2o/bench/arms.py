"""What is compared: arms, and the runs that they are made of."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, takewhile
from pathlib import Path

import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser

from p2o.errors import UserError
from p2o.running.run_folder import RECORD
from p2o.running.secrets import hide_settings

BUDGETS = {
    "rollouts": ("RolloutBudget", "max_rollouts"),
    "tokens": ("TokenBudget", "max_tokens"),
    "flops": ("FlopsBudget", "max_flops"),
    "seconds": ("TimeBudget", "max_seconds"),
}
"""What a budget may be given in, to the callback that keeps it and its argument."""


@dataclass(frozen=True)
class Arm:
    """One way to train.

    Attributes:
        name: Of its folder.
        label: In tables.
        sentence: What it is.
        overrides: Settings of ``p2o-train``.
        evaluation: Settings of ``p2o-eval`` where the arm is measured with templates at the end;
            None where it is not.
    """

    name: str
    label: str
    sentence: str
    overrides: Sequence[str]
    evaluation: Sequence[str] | None = None


@dataclass(frozen=True)
class Run:
    """An arm with a seed.

    Attributes:
        arm: The arm.
        seed: The seed.
        folder: Where it is kept.
        overrides: All settings that ``p2o-train`` is given.
    """

    arm: Arm
    seed: int
    folder: Path
    overrides: Sequence[str]

    @property
    def finished(self) -> bool:
        """Whether it has come to its end, or a guard has stopped it."""
        return (self.folder / "summary.json").is_file()

    @property
    def evaluation(self) -> tuple[str, ...] | None:
        """Settings of ``p2o-eval``, but for where the run and its pool are."""
        given = self.arm.evaluation
        return None if given is None else (*given, f"seed={self.seed}")

    @property
    def evaluation_folder(self) -> Path:
        """Where ``p2o-eval`` writes what it measures of the run."""
        return self.folder / "evaluation"

    @property
    def name(self) -> str:
        """As it is called in messages."""
        return f"{self.arm.name}, seed {self.seed}"


def make_arms(settings: Mapping[str, Mapping]) -> list[Arm]:
    """The arms of a configuration.

    Args:
        settings: Name to what `p2o.bench.settings.ArmSettings` says.
    """
    return [
        Arm(
            name,
            arm.get("label") or name.replace("_", " "),
            arm["sentence"],
            tuple(arm["overrides"]),
            None if arm.get("evaluation") is None else tuple(arm["evaluation"]),
        )
        for name, arm in settings.items()
    ]


def make_runs(
    arms: Iterable[Arm], seeds: Iterable[int], folder: Path, *settings: Iterable[str]
) -> list[Run]:
    """Every arm with every seed, seed by seed, so that all arms get on together.

    Args:
        arms: The arms.
        seeds: The seeds.
        folder: Of the bench; each run has ``ARM/seedN`` in it.
        settings: Lists of settings for all runs; an arm's own come behind them.
    """
    arms = list(arms)
    return [
        Run(
            arm,
            seed,
            folder / arm.name / f"seed{seed}",
            merged(*settings, arm.overrides, [f"seed={seed}"]),
        )
        for seed in seeds
        for arm in arms
    ]


def merged(*lists: Iterable[str]) -> tuple[str, ...]:
    """Settings of several lists in one; of those for one key the last one counts.

    Example::

        >>> merged(["experiment=grpo", "+a.b=1"], ["a.b=2"])
        ('experiment=grpo', 'a.b=2')
    """
    settings: dict[str, str] = {}
    for setting in chain(*lists):
        key = setting.partition("=")[0].lstrip("+")
        settings.pop(key, None)
        settings[key] = setting
    return tuple(settings.values())


def budget_settings(budget: Mapping[str, float | None]) -> tuple[str, ...]:
    """Settings that let a run train until its budget is spent.

    Args:
        budget: By the names of `BUDGETS`.

    Raises:
        UserError: Not exactly one of them is given.
    """
    given = [name for name in BUDGETS if budget.get(name) is not None]
    if len(given) != 1:
        said = " and ".join(f"{name}={budget[name]}" for name in given) or "nothing"
        raise UserError(f"budget: {said} is given; give one of {', '.join(BUDGETS)}")
    callback, argument = BUDGETS[given[0]]
    return (
        "trainer.max_epochs=-1",
        f"+callbacks.budget._target_=p2o_callbacks.{callback}",
        f"+callbacks.budget.{argument}={budget[given[0]]}",
    )


def refuse_others(runs: Iterable[Run]) -> None:
    """Refuse to go on in a folder with runs that were made, or measured, with other settings.

    Raises:
        UserError: Names the first run or evaluation, and the settings that differ.
    """
    for run in runs:
        _refuse_other(run.folder, run.overrides)
        if run.evaluation is not None:
            _refuse_other(run.evaluation_folder, run.evaluation)


def _refuse_other(folder: Path, settings: Iterable[str]) -> None:
    path = folder / RECORD / "overrides.yaml"
    if not path.is_file():
        return
    # Behind the settings of an evaluation stand its run and that run's pool.
    own = takewhile(
        lambda setting: not setting.startswith("run="), yaml.safe_load(path.read_text())
    )
    then, now = set(map(_spelled, own)), set(map(_spelled, settings))
    if then != now:
        was, there = (" ".join(sorted(some)) or "nothing" for some in (then - now, now - then))
        raise UserError(
            f"{folder}: was made with {was} where this bench has {there}; give another "
            "folder, or delete that one"
        )


def _spelled(setting: str) -> str:
    """A setting as a sweep of Hydra's spells it, without a secret: 1e-3 is 0.001, and +a is a."""
    [override] = OverridesParser.create().parse_overrides([setting])
    key = override.get_key_element().lstrip("+")
    return hide_settings(f"{key}={override.get_value_element_as_str()}")
