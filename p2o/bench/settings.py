"""What the values of a bench's configuration have to fit."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Le

from p2o.configuration.sections import Section, Takes
from p2o.constraints import Count, Positive, Share

Seed = Annotated[int, Ge(0), Le(2**32 - 1)]


@dataclass(frozen=True)
class ArmSettings(Section):
    """One of ``arms``."""

    sentence: str
    overrides: Sequence[str]
    label: str | None = None
    evaluation: Sequence[str] | None = None


@dataclass(frozen=True)
class BudgetSettings(Section):
    """``budget``: one of them is given."""

    rollouts: Count | None
    tokens: Count | None
    flops: Positive | None
    seconds: Positive | None


@dataclass(frozen=True)
class ClaimSettings(Section):
    """One of ``claims``."""

    claim: str
    better: str
    than: str
    by: Literal["along", "end"] = "along"


@dataclass(frozen=True)
class BenchSettings(Section):
    """The configuration of ``p2o-bench``."""

    title: str
    text: str
    arms: Mapping[str, Annotated[Mapping, Takes(ArmSettings)]]
    seeds: Count | Sequence[Seed]
    budget: Annotated[Mapping, Takes(BudgetSettings)]
    overrides: Sequence[str]
    against: str | None
    learned: Share
    claims: Mapping[str, Annotated[Mapping, Takes(ClaimSettings)]]
    folder: str
    jobs: Count | None
    launcher: Sequence[str]
    run: bool
    page: str | None
    figure: str | None
