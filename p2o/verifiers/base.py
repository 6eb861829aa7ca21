"""What a verifier is and what it says."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol, runtime_checkable

from p2o.errors import EngineError, UserError
from p2o.prompt import Prompt


class Status(StrEnum):
    """How a score came about."""

    OK = "ok"
    """The response had an answer and it was compared with the gold answer."""
    NO_ANSWER = "no_answer"
    """The response had no answer in the form asked for."""
    PARSE_ERROR = "parse_error"
    """The answer was there but could not be read."""
    TIMEOUT = "timeout"
    """The comparison took longer than allowed and was stopped."""
    ERROR = "error"
    """The verifier itself failed."""


SOLVED_REWARD = 1.0
"""Reward from which a response counts as right, unless the guard is given another."""

ROUNDING = 1e-6
"""By which a sum of partial rewards may miss the one it stands for."""

HIGHEST = 1.0
"""What most verifiers give for a right answer, and never more; these have it as `highest`."""

FAILED = (Status.TIMEOUT, Status.ERROR)
"""The verifier gave no verdict: the score is no evidence that a response is right or wrong."""

STOPPING = (UserError, EngineError)
"""What a verifier throws when it cannot work at all, whatever the response."""


@dataclass(frozen=True)
class Score:
    """The verdict on one response.

    Attributes:
        reward: 1.0 for a right answer, 0.0 for any other; composite verifiers may lie between.
        status: How the reward came about.
        answer: The answer as found in the response, if one was.
        detail: One line for a person: why an answer was not found, or what failed.
        solved: Whether the response counts as right: what the verifier says of it, or else whether
            the reward is 1.0, or what the guard around the verifier is given. None where the
            verifier failed or timed out. Everything that asks what a success is asks this.
        said: Whether the verifier itself says what `solved` is, and the reward does not decide.
    """

    reward: float
    status: Status
    answer: str | None = None
    detail: str = ""
    solved: bool | None = None
    said: bool = field(default=False, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "said", self.solved is not None)
        if self.failed:
            object.__setattr__(self, "solved", None)
        elif self.solved is None:
            object.__setattr__(self, "solved", reaches(self.reward, SOLVED_REWARD))

    @property
    def failed(self) -> bool:
        """Whether there is no verdict, because the verifier failed or timed out."""
        return self.status in FAILED


def reaches(reward: float, threshold: float) -> bool:
    """Whether a reward is at least a threshold, rounding forgiven: 0.6 + 0.3 + 0.1 reaches 1."""
    return reward >= threshold - ROUNDING


@runtime_checkable
class Verifier(Protocol):
    """Scores responses. Knows nothing of models."""

    def score(self, responses: Sequence[str], prompts: Sequence[Prompt]) -> list[Score]:
        """Score each response against the gold answer of the prompt at the same index.

        Never raises for a single bad response: that is what `Status` is for.
        """
        ...


def highest_reward(verifier: Verifier) -> float:
    """The most that a verifier gives; infinite for one that does not say."""
    return getattr(verifier, "highest", math.inf)


def check_positive(**settings: float) -> None:
    """Refuse settings of a verifier, given by their keys, that are not positive.

    Raises:
        UserError: Names the first.
    """
    for name, value in settings.items():
        if value <= 0:
            raise UserError(f"{name}={value}: give a positive number")


class GoldChecker(Protocol):
    """What a verifier may offer besides: a look at gold answers before anything is spent."""

    def check_gold(self, prompts: Sequence[Prompt]) -> list[str | None]:
        """For each prompt one line that says why its gold answer cannot be used, or None.

        Of several right answers one that can be used is enough.
        """
        ...
