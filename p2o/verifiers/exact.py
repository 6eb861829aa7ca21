"""Exact match: the answer's text against the gold texts."""

import re
from collections.abc import Sequence

from p2o.data.prompt import Prompt
from p2o.errors import UserError
from p2o.verifiers.base import Score, Status


class ExactMatch:
    """Compares texts, white space and letter case apart.

    Args:
        pattern: Regular expression whose first group is the answer; the last match counts. None
            takes the whole response.

    Raises:
        UserError: The pattern is no regular expression, or has no group.
    """

    def __init__(self, pattern: str | None = None) -> None:
        self.pattern = None if pattern is None else compile_pattern(pattern)

    def score(self, responses: Sequence[str], prompts: Sequence[Prompt]) -> list[Score]:
        """See `Verifier.score`."""
        return [self._score(text, prompt) for text, prompt in zip(responses, prompts, strict=True)]

    def check_gold(self, prompts: Sequence[Prompt]) -> list[str | None]:
        """See `GoldChecker.check_gold`: an empty text can never be an answer."""
        return [
            None if any(map(_fold, prompt.golds)) else "the gold answer is empty"
            for prompt in prompts
        ]

    def _score(self, response: str, prompt: Prompt) -> Score:
        answer = response if self.pattern is None else last_match(self.pattern, response)
        if answer is None or not answer.strip():
            return Score(0.0, Status.NO_ANSWER)
        equal = _fold(answer) in map(_fold, prompt.golds)
        return Score(float(equal), Status.OK, answer.strip())


def compile_pattern(pattern: str) -> re.Pattern[str]:
    """Compile a pattern that must have a group.

    Raises:
        UserError: It cannot be compiled or has none.
    """
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise UserError(f"pattern={pattern!r}: {error}") from error
    if compiled.groups < 1:
        raise UserError(f"pattern={pattern!r}: put the answer into a group, (...)")
    return compiled


def last_match(pattern: re.Pattern[str], text: str) -> str | None:
    """The first group of the last match."""
    matches = list(pattern.finditer(text))
    return matches[-1].group(1) if matches else None


def _fold(text: str) -> str:
    return " ".join(text.split()).casefold()
