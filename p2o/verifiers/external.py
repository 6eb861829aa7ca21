"""Reward functions from anywhere, and what may be given for a score."""

import asyncio
import importlib
import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from p2o.data.prompt import Prompt
from p2o.errors import UserError
from p2o.verifiers.base import Score, Status


class External:
    """A function ``f(responses, prompts)`` with a score for each response, as `to_score` reads it.

    Args:
        function: ``module:name``, or the function itself. It may be a coroutine function.

    Raises:
        UserError: It cannot be imported or called.
    """

    def __init__(self, function: str | Callable[..., Any]) -> None:
        self.function = _load(function) if isinstance(function, str) else function
        if not callable(self.function):
            raise UserError(f"function={function}: it cannot be called")

    def score(self, responses: Sequence[str], prompts: Sequence[Prompt]) -> list[Score]:
        """See `Verifier.score`."""
        given = self.function(list(responses), list(prompts))
        if inspect.isawaitable(given):
            # A notebook's own thread has a loop that runs already.
            with ThreadPoolExecutor(1) as threads:
                given = threads.submit(asyncio.run, _wait(given)).result()
        return [to_score(one) for one in given]


def to_score(given: Any) -> Score:
    """Read what a function or a service gives for one response.

    Args:
        given: A `Score`; a number; None for no answer; or a dictionary with ``reward`` and, if it
            likes, ``status``, ``answer`` and ``detail``. Anything else, and a number that is not
            finite, is `Status.ERROR`.
    """
    if isinstance(given, Score):
        return given
    if given is None:
        return Score(0.0, Status.NO_ANSWER)
    fields = given if isinstance(given, Mapping) else {"reward": given}
    try:
        score = Score(
            float(fields["reward"]),
            Status(fields.get("status", Status.OK)),
            fields.get("answer"),
            str(fields.get("detail", "")),
        )
    except (KeyError, TypeError, ValueError):
        return Score(0.0, Status.ERROR, detail=f"this is no score: {given!r}"[:200])
    if not math.isfinite(score.reward):
        return Score(0.0, Status.ERROR, score.answer, f"reward {score.reward}")
    return score


async def _wait(given: Any) -> Any:
    return await given


def _load(path: str) -> Any:
    module, _, name = path.partition(":")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError(
            f"function={path}: cannot be imported ({error}); give module:name"
        ) from error
