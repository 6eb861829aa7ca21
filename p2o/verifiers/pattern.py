"""Regular expressions that a user gives, searched for where a search can be stopped."""

import re
from collections.abc import Callable, Sequence
from functools import cache

from p2o.errors import UserError
from p2o.verifiers.base import Score, Status, check_positive
from p2o.verifiers.worker_pool import Failure, KillablePool


class AnswerPattern:
    """Finds the answer in a response: the first group of the last match.

    Some expressions take for ever on some texts, so the search is made by a worker process.

    Args:
        pattern: Regular expression with a group; None takes the whole response.
        seconds: Deadline of one search; a worker that misses it is killed.

    Raises:
        UserError: The pattern is no regular expression or has no group, or `seconds` is not
            positive.
    """

    def __init__(self, pattern: str | None, seconds: float) -> None:
        check_positive(seconds=seconds)
        self.pattern, self.seconds = pattern, seconds
        if pattern is not None and compile_pattern(pattern, "pattern").groups < 1:
            raise UserError(f"pattern={pattern!r}: put the answer into a group, (...)")

    def find(self, responses: Sequence[str]) -> list[str | Failure | None]:
        """For each response the answer, None without one, or why it was not found out."""
        if self.pattern is None:
            return list(responses)
        return search_all(self.pattern, responses, self.seconds, last=True)


def compile_pattern(pattern: str, key: str, flags: int = 0) -> re.Pattern[str]:
    """Compile a pattern.

    Raises:
        UserError: It is no regular expression; names the key.
    """
    try:
        return re.compile(pattern, flags)
    except (re.error, OverflowError, RecursionError) as error:
        raise UserError(f"{key}={pattern!r}: {error}") from error


def search_all(
    pattern: str, texts: Sequence[str], seconds: float, last: bool, flags: int = 0
) -> list[str | Failure | None]:
    """Search each text in a worker process, which all patterns share.

    Args:
        pattern: Regular expression.
        texts: To search.
        seconds: Deadline of each search.
        last: Whether to give the first group of the last match; else the whole of the first one.
        flags: Of `re`.
    """
    look = last_match if last else first_match
    return _pool().map([(look, pattern, text, flags) for text in texts], seconds)


def search(item: tuple[Callable[[str, str, int], str | None], str, str, int]) -> str | None:
    """See `search_all`; runs in a worker."""
    look, pattern, text, flags = item
    return look(pattern, text, flags)


def first_match(pattern: str, text: str, flags: int = 0) -> str | None:
    """The whole of the first match."""
    found = re.search(pattern, text, flags)
    return found and found[0]


def last_match(pattern: str, text: str, flags: int = 0) -> str | None:
    """The first group of the last match."""
    found = None
    for match in re.finditer(pattern, text, flags):
        found = match[1]
    return found


def failed(failure: Failure, answer: str | None = None) -> Score:
    """The score of an answer that a worker did not get through."""
    status = Status.TIMEOUT if failure.timeout else Status.ERROR
    return Score(0.0, status, answer, failure.reason)


@cache
def _pool() -> KillablePool:
    return KillablePool("p2o.verifiers.pattern:search")
