"""Regular expressions as gold answers."""

import re
from collections.abc import Sequence

from p2o.data.prompt import Prompt
from p2o.verifiers.base import Score, Status, check_positive
from p2o.verifiers.exact import compile_pattern, last_match
from p2o.verifiers.worker_pool import Failure, KillablePool

LONGEST = 10_000
"""Characters of an answer that are matched."""


class RegexMatch:
    """1 when the whole answer matches a gold answer, which is a regular expression.

    White space around the answer does not count. Matching is done by a worker process, because some
    expressions take forever on some texts.

    Args:
        pattern: Regular expression whose first group is the answer; the last match counts. None
            takes the whole response.
        ignore_case: Whether letter case does not count.
        seconds: Deadline of one answer; a worker that misses it is killed.
        workers: Worker processes.

    Raises:
        UserError: The pattern is no regular expression or has no group; `seconds` or `workers` is
            not positive.
    """

    def __init__(
        self,
        pattern: str | None = None,
        ignore_case: bool = True,
        seconds: float = 1.0,
        workers: int = 1,
    ) -> None:
        self.pattern = None if pattern is None else compile_pattern(pattern)
        check_positive(seconds=seconds, workers=workers)
        self.flags, self.seconds = re.IGNORECASE if ignore_case else re.NOFLAG, seconds
        self.pool = KillablePool("p2o.verifiers.regex:matches", workers)

    def score(self, responses: Sequence[str], prompts: Sequence[Prompt]) -> list[Score]:
        """See `Verifier.score`."""
        answers = [self._find(response) for response in responses]
        asked = [
            (prompt.golds, answer, int(self.flags))
            for answer, prompt in zip(answers, prompts, strict=True)
        ]
        results = iter(self.pool.map([item for item in asked if item[1]], self.seconds))
        return [_to_score(next(results) if answer else None, answer) for answer in answers]

    def check_gold(self, prompts: Sequence[Prompt]) -> list[str | None]:
        """See `GoldChecker.check_gold`: all of them must be regular expressions."""
        return [_error_in(prompt.golds) for prompt in prompts]

    def _find(self, response: str) -> str:
        answer = response if self.pattern is None else last_match(self.pattern, response)
        return (answer or "").strip()[:LONGEST]


def matches(item: tuple[Sequence[str], str, int]) -> bool:
    """Whether the text matches one of the expressions from end to end; runs in a worker.

    Raises:
        re.error: One of them is no regular expression.
    """
    patterns, text, flags = item
    return any(re.fullmatch(pattern, text, flags) for pattern in patterns)


def _error_in(patterns: Sequence[str]) -> str | None:
    for pattern in patterns:
        try:
            re.compile(pattern)
        except re.error as error:
            return f"the gold answer {pattern[:80]!r} is no regular expression: {error}"
    return None


def _to_score(result: bool | Failure | None, answer: str) -> Score:
    if result is None:
        return Score(0.0, Status.NO_ANSWER)
    if isinstance(result, Failure):
        status = Status.TIMEOUT if result.timeout else Status.ERROR
        return Score(0.0, status, answer, result.reason)
    return Score(float(result), Status.OK, answer)
