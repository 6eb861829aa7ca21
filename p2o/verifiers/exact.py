"""Exact match: the answer's text against the gold texts."""

import unicodedata
from collections.abc import Sequence

from p2o.prompt import Prompt
from p2o.verifiers.base import HIGHEST, Score, Status
from p2o.verifiers.pattern import AnswerPattern, failed
from p2o.verifiers.worker_pool import Failure


class ExactMatch:
    """Compares texts, white space and letter case apart.

    Args:
        pattern: Regular expression whose first group is the answer; the last match counts. None
            takes the whole response.
        seconds: Deadline of one search for the pattern.

    Raises:
        UserError: The pattern is no regular expression or has no group, or `seconds` is not
            positive.
    """

    highest = HIGHEST

    def __init__(self, pattern: str | None = None, seconds: float = 1.0) -> None:
        self.pattern = AnswerPattern(pattern, seconds)

    def score(self, responses: Sequence[str], prompts: Sequence[Prompt]) -> list[Score]:
        """See `Verifier.score`."""
        answers = self.pattern.find(responses)
        return [_score(answer, prompt) for answer, prompt in zip(answers, prompts, strict=True)]

    def check_gold(self, prompts: Sequence[Prompt]) -> list[str | None]:
        """See `GoldChecker.check_gold`: an empty text can never be an answer."""
        return [
            None if any(map(_fold, prompt.golds)) else "the gold answer is empty"
            for prompt in prompts
        ]


def _score(answer: str | Failure | None, prompt: Prompt) -> Score:
    if isinstance(answer, Failure):
        return failed(answer)
    if answer is None or not answer.strip():
        return Score(0.0, Status.NO_ANSWER)
    equal = _fold(answer) in map(_fold, prompt.golds)
    return Score(float(equal), Status.OK, answer.strip())


def _fold(text: str) -> str:
    return " ".join(unicodedata.normalize("NFC", text).split()).casefold()
