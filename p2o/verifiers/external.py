"""Reward functions from anywhere, and what may be given for a score."""

import asyncio
import inspect
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from p2o.prompt import Prompt
from p2o.verifiers.base import Score, Status
from p2o.verifiers.checked import as_number, describe, one_for_each, with_number
from p2o.verifiers.named_function import load_function


class External:
    """A function ``f(responses, prompts)`` with a score for each response, as `to_score` reads it.

    Args:
        function: ``FILE.py:NAME`` or ``package.module:NAME``, or the function itself. It may be a
            coroutine function.

    Raises:
        UserError: It is not there.
    """

    def __init__(self, function: str | Callable[..., Any]) -> None:
        named = isinstance(function, str)
        self.function = load_function("function", function) if named else function
        self.name = function if named else getattr(function, "__name__", "?")

    def score(self, responses: Sequence[str], prompts: Sequence[Prompt]) -> list[Score]:
        """See `Verifier.score`.

        Raises:
            UserError: It does not give a list with one score for each response.
        """
        given = self.function(list(responses), list(prompts))
        if inspect.isawaitable(given):
            # A notebook's own thread has a loop that runs already.
            with ThreadPoolExecutor(1) as threads:
                given = threads.submit(asyncio.run, _wait(given)).result()
        who = f"function={self.name}"
        return [to_score(one) for one in one_for_each(who, given, len(responses))]


def to_score(given: Any) -> Score:
    """Read what a function or a service gives for one response.

    Args:
        given: A `Score`; a number; None for no answer; or a dictionary with ``reward`` and, if it
            likes, ``status``, ``answer``, ``detail`` and ``solved``. Anything else, and a number
            that is not finite, is `Status.ERROR`.
    """
    if isinstance(given, Score):
        return with_number(given)
    if given is None:
        return Score(0.0, Status.NO_ANSWER)
    fields = given if isinstance(given, Mapping) else {"reward": given}
    reward, answer = as_number(fields.get("reward")), fields.get("answer")
    status = fields.get("status", Status.OK)
    solved = fields.get("solved")
    if reward is None or status not in tuple(Status) or solved not in (None, True, False):
        return Score(0.0, Status.ERROR, detail=f"this is no score: {describe(given)}")
    return with_number(
        Score(
            reward,
            Status(status),
            None if answer is None else str(answer),
            str(fields.get("detail", "")),
            None if solved is None else bool(solved),
        )
    )


async def _wait(given: Any) -> Any:
    return await given
