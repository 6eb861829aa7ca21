"""A service that gives rewards over HTTP."""

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx

from p2o import retries
from p2o.data.prompt import Prompt
from p2o.errors import EngineError, UserError
from p2o.verifiers.base import Score, Status, check_positive
from p2o.verifiers.external import to_score


class HttpService:
    """Asks a service for rewards, by the protocol of ``docs/verifiers.md``.

    A request that fails is tried again, with pauses twice as long each time. A batch for which
    there is no answer in time, or an error again and again, is scored `Status.TIMEOUT` or
    `Status.ERROR`; a service that is gone ends the run.

    Args:
        url: Where requests go by POST.
        batch: Responses of one request.
        concurrency: Requests under way at once.
        seconds: To wait for an answer.
        attempts: Of a request, the first one included.
        pause: Seconds before the second attempt.
        headers: Of requests, such as ``{Authorization: ...}``.

    Raises:
        UserError: A number is not positive, or the service does not answer to an empty batch.
    """

    def __init__(
        self,
        url: str,
        batch: int = 32,
        concurrency: int = 8,
        seconds: float = 60.0,
        attempts: int = 4,
        pause: float = 0.5,
        headers: dict[str, str] | None = None,
    ) -> None:
        check_positive(batch=batch, concurrency=concurrency, seconds=seconds)
        check_positive(attempts=attempts, pause=pause)
        self.url, self.batch, self.concurrency = url, batch, concurrency
        self.attempts, self.pause = attempts, pause
        limits = httpx.Limits(max_connections=concurrency)
        json_content = {"Content-Type": "application/json"}
        self.client = httpx.Client(
            timeout=seconds, limits=limits, headers={**json_content, **(headers or {})}
        )
        self._check_service()

    def score(self, responses: Sequence[str], prompts: Sequence[Prompt]) -> list[Score]:
        """See `Verifier.score`.

        Raises:
            EngineError: The service cannot be reached any more.
            UserError: It refuses a request, or its answer is none.
        """
        starts = range(0, len(responses), self.batch)
        parts = [slice(start, start + self.batch) for start in starts]
        with ThreadPoolExecutor(self.concurrency) as threads:
            scores = threads.map(lambda part: self._ask(responses[part], prompts[part]), parts)
            return [score for part in scores for score in part]

    def _check_service(self) -> None:
        try:
            failures = self._ask([], [])
        except (EngineError, httpx.InvalidURL) as error:
            raise UserError(f"url={self.url}: {error}") from error
        if failures:
            raise UserError(f"url={self.url}: {failures[0].detail}")

    def _ask(self, responses: Sequence[str], prompts: Sequence[Prompt]) -> list[Score]:
        content = json.dumps(
            {"responses": list(responses), "prompts": [_describe(prompt) for prompt in prompts]},
            default=str,
        )
        try:
            reply = retries.post(self.client, self.url, self.attempts, self.pause, content=content)
        except httpx.ReadTimeout:
            return _failures(Status.TIMEOUT, "the service took too long", responses)
        except httpx.HTTPError as error:
            reason = f"{type(error).__name__}: {error}"
            raise EngineError(f"the service at {self.url} cannot be reached ({reason})") from error
        if reply.is_success:
            return self._read(reply, len(responses))
        reason = f"the service answers {reply.status_code}"
        if reply.status_code < 500 and reply.status_code not in retries.BUSY:
            raise UserError(f"url={self.url}: {reason} {reply.text[:200]!r}")
        return _failures(Status.ERROR, reason, responses)

    def _read(self, reply: httpx.Response, expected: int) -> list[Score]:
        try:
            scores = reply.json()["scores"]
            number = len(scores)
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(
                f"url={self.url}: answers {reply.text[:80]!r}; it must be an object with "
                "scores, a list"
            ) from error
        if number != expected:
            raise UserError(
                f"url={self.url}: gave {number} scores for {expected} responses; it must "
                "give one for each, in order"
            )
        return [to_score(score) for score in scores]


def _failures(status: Status, reason: str, responses: Sequence[str]) -> list[Score]:
    return [Score(0.0, status, detail=reason)] * max(1, len(responses))


def _describe(prompt: Prompt) -> dict[str, Any]:
    return {
        "id": prompt.id,
        "question": prompt.question,
        "gold": prompt.gold,
        "alternatives": list(prompt.alternatives),
        "meta": dict(prompt.meta),
    }
