"""What a verifier gives, held against what it must give."""

import math
from collections.abc import Sequence
from dataclasses import replace
from numbers import Real
from typing import Any

from p2o.errors import UserError
from p2o.prompt import Prompt
from p2o.verifiers.base import Score, Status, Verifier

LARGEST_REWARD = 1e15
"""Either way; sums of squares of rewards are finite in single precision."""


def ask(
    key: str, verifier: Verifier, responses: Sequence[str], prompts: Sequence[Prompt]
) -> list[Score]:
    """The scores of a verifier; one whose reward is no finite number is `Status.ERROR`.

    Args:
        key: Of the verifier, for messages.
        verifier: Anybody's.
        responses: To score.
        prompts: As many.

    Raises:
        UserError: It did not give one score for each response.
    """
    name = type(verifier).__name__
    scores = one_for_each(f"{key}: {name}", verifier.score(responses, prompts), len(responses))
    for score in scores:
        if not isinstance(score, Score):
            raise UserError(f"{key}: {name} gave {describe(score)}, which is no Score")
    return [with_number(score) for score in scores]


def one_for_each(who: str, given: Any, count: int) -> list[Any]:
    """What was given as a list.

    Raises:
        UserError: It is no list, or of another length.
    """
    if isinstance(given, str | bytes | dict) or not hasattr(given, "__iter__"):
        raise UserError(
            f"{who} gave {describe(given)}; it must give a list with one score for each response"
        )
    items = list(given)
    if len(items) != count:
        raise UserError(
            f"{who} gave {len(items)} scores for {count} responses; it must give one for each, in "
            "order"
        )
    return items


def with_number(score: Score) -> Score:
    """The score, or an error in its place where training cannot count with its reward."""
    reward = as_number(score.reward)
    if reward is None or not abs(reward) <= LARGEST_REWARD:
        finite = reward is not None and math.isfinite(reward)
        why = f"beyond {LARGEST_REWARD:g}" if finite else "no finite number"
        detail = f"the reward is {describe(score.reward)}, which is {why}"
        return replace(score, reward=0.0, status=Status.ERROR, detail=detail)
    # What the reward decides, the guard's threshold has still to decide.
    return replace(score, reward=reward, solved=score.solved if score.said else None)


def as_number(value: Any) -> float | None:
    """A number, or an array of one, as a float; None for anything else, and for text."""
    if isinstance(value, str | bytes) or not (
        isinstance(value, Real) or hasattr(value, "__float__")
    ):
        return None
    try:
        return float(value)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        # An array of several numbers, or a whole number that no float can hold.
        return None


def describe(value: Any) -> str:
    """A value in a few words."""
    return f"{' '.join(repr(value).split())[:80]} ({type(value).__name__})"
