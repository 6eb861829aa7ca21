"""Regular expressions as gold answers."""

import re
from collections.abc import Sequence

from p2o.constraints import Workers
from p2o.prompt import Prompt
from p2o.verifiers.base import HIGHEST, Score, Status, check_positive
from p2o.verifiers.pattern import AnswerPattern, failed, last_match
from p2o.verifiers.worker_pool import Failure, KillablePool

LONGEST = 10_000
"""Characters of an answer that are matched."""


class RegexMatch:
    """1 when the whole answer matches a gold answer, which is a regular expression.

    White space around the answer does not count. Searching and matching are done by a worker
    process, because some expressions take for ever on some texts.

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

    highest = HIGHEST

    def __init__(
        self,
        pattern: str | None = None,
        ignore_case: bool = True,
        seconds: float = 1.0,
        workers: Workers = 1,
    ) -> None:
        check_positive(workers=workers)
        self.pattern, self.seconds = AnswerPattern(pattern, seconds).pattern, seconds
        self.flags = re.IGNORECASE if ignore_case else re.NOFLAG
        self.pool = KillablePool("p2o.verifiers.regex:find_and_match", workers)

    def score(self, responses: Sequence[str], prompts: Sequence[Prompt]) -> list[Score]:
        """See `Verifier.score`."""
        asked = [
            (self.pattern, prompt.golds, response, int(self.flags))
            for response, prompt in zip(responses, prompts, strict=True)
        ]
        return [_to_score(result) for result in self.pool.map(asked, self.seconds)]

    def check_gold(self, prompts: Sequence[Prompt]) -> list[str | None]:
        """See `GoldChecker.check_gold`: all of them must be regular expressions."""
        return [_error_in(prompt.golds) for prompt in prompts]


Item = tuple[str | None, Sequence[str], str, int]
"""The pattern of the answer, those of the gold answers, the response, and flags for the latter."""


def find_and_match(item: Item) -> tuple[str, bool]:
    """The answer in a response, and whether it is right from end to end; runs in a worker.

    Raises:
        re.error: A gold answer is no regular expression.
    """
    pattern, golds, response, flags = item
    found = response if pattern is None else last_match(pattern, response)
    answer = (found or "").strip()[:LONGEST]
    return answer, any(re.fullmatch(gold, answer, flags) for gold in golds if answer)


def _error_in(patterns: Sequence[str]) -> str | None:
    for pattern in patterns:
        try:
            re.compile(pattern)
        except (re.error, OverflowError, RecursionError) as error:
            return f"the gold answer {pattern[:80]!r} is no regular expression: {error}"
    return None


def _to_score(result: tuple[str, bool] | Failure) -> Score:
    if isinstance(result, Failure):
        return failed(result)
    answer, right = result
    return Score(float(right), Status.OK, answer) if answer else Score(0.0, Status.NO_ANSWER)
