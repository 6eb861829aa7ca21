"""A service that gives rewards over HTTP."""

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Any

from p2o.constraints import Many, Workers
from p2o.errors import EngineError, UserError
from p2o.prompt import Prompt
from p2o.running.endpoint import (
    Address,
    Connection,
    Endpoint,
    Fault,
    Patience,
    RequestFailed,
    read_json,
    run,
)
from p2o.verifiers.base import Score, Status, check_positive
from p2o.verifiers.external import to_score

LARGEST_ANSWER = 16 * 2**20
"""Bytes."""


class HttpService:
    """Asks a service for rewards, by the protocol of ``docs/verifiers.md``.

    A request that fails is tried again, with pauses twice as long each time. A batch for which
    there is no answer in time, an error again and again, or an answer that is none, is scored
    `Status.TIMEOUT` or `Status.ERROR`; a service that is gone ends the run.

    Args:
        url: Where requests go by POST.
        batch: Responses of one request.
        concurrency: Requests under way at once.
        seconds: For one attempt, from the connection to the last byte of the answer; also the
            longest pause that the service may ask for.
        attempts: Of a request, the first one included.
        pause: Seconds before the second attempt.
        headers: Of requests. A key among them belongs into the environment or a file,
            ``{Authorization: "Bearer ${oc.env:NAME}"}`` or ``{X-Key: "${file:PATH}"}``.

    Raises:
        UserError: A number is not positive, or the service does not answer to an empty batch.
    """

    def __init__(
        self,
        url: Address,
        batch: Many = 32,
        concurrency: Workers = 8,
        seconds: float = 60.0,
        attempts: int = 4,
        pause: float = 0.5,
        headers: dict[str, str] | None = None,
    ) -> None:
        check_positive(batch=batch, concurrency=concurrency, seconds=seconds)
        check_positive(attempts=attempts, pause=pause)
        self.batch, self.concurrency = batch, concurrency
        self.patience = Patience(seconds, LARGEST_ANSWER, attempts, pause, longest_asked=seconds)
        self.service = Endpoint(url, headers)
        self._check_service()

    def score(self, responses: Sequence[str], prompts: Sequence[Prompt]) -> list[Score]:
        """See `Verifier.score`.

        Raises:
            EngineError: The service cannot be reached any more.
            UserError: It refuses a request.
        """
        starts = range(0, len(responses), self.batch)
        parts = [slice(start, start + self.batch) for start in starts]
        outcomes = run(partial(self._ask_all, [(responses[p], prompts[p]) for p in parts]))
        return [
            score
            for part, outcome in zip(parts, outcomes, strict=True)
            for score in self._judge(outcome, len(responses[part]))
        ]

    def _check_service(self) -> None:
        [outcome] = run(partial(self._ask_all, [([], [])]))
        if isinstance(outcome, RequestFailed):
            raise UserError(f"url={self.service.name}: {outcome}") from outcome

    async def _ask_all(
        self, parts: Sequence[tuple[Sequence[str], Sequence[Prompt]]]
    ) -> list[list[Score] | RequestFailed]:
        gate = asyncio.Semaphore(self.concurrency)
        async with self.service.connect() as connection:
            return await asyncio.gather(*(self._ask(connection, gate, *part) for part in parts))

    async def _ask(
        self,
        connection: Connection,
        gate: asyncio.Semaphore,
        responses: Sequence[str],
        prompts: Sequence[Prompt],
    ) -> list[Score] | RequestFailed:
        content = {
            "responses": list(responses),
            "prompts": [_describe(prompt) for prompt in prompts],
        }
        async with gate:
            try:
                return await connection.ask(
                    "", partial(self._read_scores, len(responses)), self.patience, content
                )
            except RequestFailed as failure:
                return failure

    def _read_scores(self, expected: int, answer: bytes) -> list[Score]:
        """Scores of an answer.

        Raises:
            ValueError: It is not a list of so many scores.
        """
        content = self.service.hidden(read_json(answer))
        scores = content.get("scores") if isinstance(content, dict) else None
        if not isinstance(scores, list):
            raise ValueError("it must be an object with scores, a list")
        if len(scores) != expected:
            raise ValueError(
                f"gave {len(scores)} scores for {expected} responses; it must give one for "
                "each, in order"
            )
        return [to_score(score) for score in scores]

    def _judge(self, outcome: list[Score] | RequestFailed, expected: int) -> list[Score]:
        """Scores, also where there is no answer, unless the run cannot go on without."""
        if not isinstance(outcome, RequestFailed):
            return outcome
        if outcome.fault == Fault.UNREACHABLE:
            raise EngineError(
                f"the service at {self.service.name} cannot be reached ({outcome})"
            ) from outcome
        if outcome.fault == Fault.REFUSED:
            raise UserError(f"url={self.service.name}: {outcome}") from outcome
        status = Status.TIMEOUT if outcome.fault == Fault.TIMEOUT else Status.ERROR
        return [Score(0.0, status, detail=f"the service: {outcome}")] * expected


def _describe(prompt: Prompt) -> dict[str, Any]:
    return {
        "id": prompt.id,
        "question": prompt.question,
        "gold": prompt.gold,
        "alternatives": list(prompt.alternatives),
        "meta": dict(prompt.meta),
        "source": prompt.source,
    }
