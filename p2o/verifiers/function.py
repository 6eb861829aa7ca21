"""A plain Python function as a verifier."""

import inspect
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from p2o.errors import UserError
from p2o.prompt import Prompt
from p2o.verifiers.base import STOPPING, Score, Status
from p2o.verifiers.external import to_score
from p2o.verifiers.named_function import load_function

TAKES = ("completion", "answer", "problem")
"""Parameters that a function may have, by name."""


class Function:
    """A function of one completion, such as ``def reward(completion, answer) -> float``.

    It says by its parameters' names what it wants, in any order: ``completion``, the text of the
    response; ``answer``, the right answer; ``problem``, the whole `Prompt`. What it gives is read
    by `p2o.verifiers.external.to_score`: a number, true or false, None for no answer, or a `Score`.
    Where several answers are right it is called with each, and the best score counts. When it fails
    beside one of them, a score above 0 beside another one counts still; otherwise it is a failure.

    Args:
        path: ``FILE.py:NAME`` or ``package.module:NAME``. A relative file is looked for from where
            the command was started.

    Raises:
        UserError: It is not there, or has other parameters.
    """

    def __init__(self, path: str) -> None:
        self.function = load_function("path", path)
        self.takes = _parameters(self.function, f"path={path}")

    def score(self, responses: Sequence[str], prompts: Sequence[Prompt]) -> list[Score]:
        """See `Verifier.score`. What the function raises is `Status.ERROR` of that response."""
        return [self._score(r, p) for r, p in zip(responses, prompts, strict=True)]

    def _score(self, completion: str, prompt: Prompt) -> Score:
        answers = prompt.golds if "answer" in self.takes else (prompt.gold,)
        return _best([self._ask(completion, answer, prompt) for answer in answers])

    def _ask(self, completion: str, answer: str, prompt: Prompt) -> Score:
        known = {"completion": completion, "answer": answer, "problem": prompt}
        try:
            return to_score(self.function(**{name: known[name] for name in self.takes}))
        except STOPPING:
            raise
        except Exception as error:  # It is anybody's code and may throw anything.
            said = " ".join(f"{type(error).__name__}: {error}".split())
            return Score(0.0, Status.ERROR, detail=f"{said[:200]}{_place_of(error)}")


def _place_of(error: Exception) -> str:
    """The last line of the function's own file that an error passed through; empty for none."""
    frames = traceback.extract_tb(error.__traceback__)[1:]
    own = [frame for frame in frames if frame.filename == frames[0].filename]
    return f" ({Path(own[-1].filename).name}, line {own[-1].lineno})" if own else ""


def _best(scores: Sequence[Score]) -> Score:
    """The highest; a failure leaves the verdict open unless another answer earned something.

    From which reward a response counts as solved is the guard's to say, and may be less than 1.
    """
    return max(
        scores,
        key=lambda score: (
            bool(score.solved),
            score.reward > 0 and not score.failed,
            score.failed,
            score.reward,
        ),
    )


def _parameters(function: Callable[..., Any], said: str) -> tuple[str, ...]:
    """Which of `TAKES` a function has.

    Raises:
        UserError: It has another one without a default, or cannot be called with these.
    """
    if inspect.iscoroutinefunction(function):
        raise UserError(f"{said}: is a coroutine function, which only an external verifier takes")
    try:
        parameters = inspect.signature(function).parameters.values()
    except ValueError as error:
        raise UserError(f"{said}: does not say what parameters it has; wrap it in one") from error
    more = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    named = [parameter for parameter in parameters if parameter.kind not in more]
    wrong = [
        parameter.name
        for parameter in named
        if parameter.default is inspect.Parameter.empty
        and (parameter.name not in TAKES or parameter.kind == inspect.Parameter.POSITIONAL_ONLY)
    ]
    takes = tuple(parameter.name for parameter in named if parameter.name in TAKES)
    if wrong or "completion" not in takes:
        has = ", ".join(parameter.name for parameter in named) or "no parameter"
        raise UserError(
            f"{said}: takes {has}; give a function of completion and, if it likes, answer and "
            "problem, by these names"
        )
    return takes
