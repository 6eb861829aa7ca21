"""What a verifier is and what it says."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from p2o.data.prompt import Prompt
from p2o.errors import UserError


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


@dataclass(frozen=True)
class Score:
    """The verdict on one response.

    Attributes:
        reward: 1.0 for a right answer, 0.0 for any other; composite verifiers may lie between.
        status: How the reward came about.
        answer: The answer as found in the response, if one was.
        detail: One line for a person: why an answer was not found, or what failed.
    """

    reward: float
    status: Status
    answer: str | None = None
    detail: str = ""


class Verifier(Protocol):
    """Scores responses. Knows nothing of models."""

    def score(self, responses: Sequence[str], prompts: Sequence[Prompt]) -> list[Score]:
        """Score each response against the gold answer of the prompt at the same index.

        Never raises for a single bad response: that is what `Status` is for.
        """
        ...


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
