"""Reflection with a stronger language model behind an OpenAI-compatible endpoint."""

import asyncio
import logging
import os
from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import Any

from p2o.constraints import Count, NotNegative, Positive, Text
from p2o.errors import UserError
from p2o.reflection.base import ReflectionRequest
from p2o.reflection.meta_prompt import extract_template, render_meta_prompt
from p2o.rollout.engine import RolloutEngine
from p2o.rollout.rendering import ChatRenderer
from p2o.running.distributed import on_rank_zero
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
from p2o_callbacks.candidates import Exchange

logger = logging.getLogger(__name__)

PREFLIGHT_SECONDS = 10.0
FIRST_PAUSE = 0.5
"""Seconds before a second attempt."""
LARGEST_ANSWER = 4 * 2**20
"""Bytes; of a usual answer there are a few thousand."""
MOST_TOKENS = 10**9
"""Of an answer; a server that tells of more, or of fewer than none, is not believed."""
SEED_RANGE = 2**31
"""Some servers take 32-bit seeds only."""


class TeacherReflection:
    """A language model on a server writes templates; chat completions over HTTP.

    A call that fails gives no proposal and a warning; it never ends the training.

    Args:
        base_url: Where the API begins, say ``https://host/v1``.
        model: The server's name of the model.
        api_key_variable: Environment variable with the key; no key is sent when it is not set.
        temperature: Sampling temperature.
        max_tokens: Length limit of an answer, reasoning included.
        seconds: Time limit for a call, from the connection to the last byte of the answer.
        attempts: Calls made for one request before it counts as failed.
        concurrency: Calls under way at once.
        batch_seconds: Time limit for all reflections of one batch; what has no template by then has
            failed, and the search goes on without. A server that asks for a longer pause than that
            is not waited for.

    Attributes:
        exchanges: See `ConversingReflection`; of several attempts the last answer. On rank 0 alone.

    Raises:
        UserError: `attempts` or `concurrency` cannot work.
    """

    def __init__(
        self,
        base_url: Address,
        model: Text,
        api_key_variable: Text = "OPENAI_API_KEY",
        temperature: NotNegative = 1.0,
        max_tokens: Count = 4096,
        seconds: Positive = 120.0,
        attempts: int = 4,
        concurrency: int = 16,
        batch_seconds: Positive = 300.0,
    ) -> None:
        for name, number in (("attempts", attempts), ("concurrency", concurrency)):
            if number < 1:
                raise UserError(f"{name}={number}: give at least 1")
        self.base_url, self.model, self.api_key_variable = base_url, model, api_key_variable
        self.temperature, self.max_tokens = temperature, max_tokens
        self.concurrency, self.batch_seconds = concurrency, batch_seconds
        self.patience = Patience(seconds, LARGEST_ANSWER, attempts, FIRST_PAUSE)
        self._failed_batches = 0
        self.tokens = 0
        self.exchanges: list[Exchange | None] = []

    def bind(self, engine: RolloutEngine, renderer: ChatRenderer) -> None:
        """Find out whether the server answers and takes the key.

        Raises:
            UserError: It does not.
        """
        server = self._endpoint()
        try:
            run(partial(self._list_models, server))
        except RequestFailed as failure:
            self._judge_preflight(server, failure)

    async def _list_models(self, server: Endpoint) -> None:
        async with server.connect() as connection:
            patience = Patience(PREFLIGHT_SECONDS, LARGEST_ANSWER)
            await connection.ask("/models", lambda answer: None, patience, method="GET")

    def _judge_preflight(self, server: Endpoint, failure: RequestFailed) -> None:
        if failure.status is None:
            raise UserError(
                f"base_url={server.name}: no answer ({failure}); start the server or "
                "give the address where its API begins, say https://host/v1"
            ) from failure
        if failure.status in (401, 403):
            state = "is set but not accepted" if self._key() else "is not set"
            raise UserError(
                f"base_url={server.name}: answered {failure.status} and the "
                f"environment variable {self.api_key_variable} {state}; put a valid key there or "
                "name another variable in api_key_variable"
            ) from failure
        # Some servers do not list their models.
        if failure.status != 404:
            logger.warning(
                "base_url=%s answered GET /models with %s; going on all the same",
                server.name,
                failure,
            )

    def reflect(self, requests: Sequence[ReflectionRequest]) -> list[str | None]:
        """Write one template for each request, side by side; see `Reflection.reflect`.

        Collective: rank 0 calls the server and every rank gets its templates.
        """
        return on_rank_zero(lambda: self._reflect(requests))

    def _reflect(self, requests: Sequence[ReflectionRequest]) -> list[str | None]:
        server = self._endpoint()
        prompts = [render_meta_prompt(request) for request in requests]
        self.exchanges = [Exchange(prompt, "") for prompt in prompts]
        outcomes = run(partial(self._ask_all, server, prompts, requests))
        failures = Counter(str(o) for o in outcomes if isinstance(o, RequestFailed))
        for reason, count in failures.items():
            logger.warning("%d of %d reflections failed: %s", count, len(requests), reason)
        templates = [None if isinstance(o, RequestFailed) else o for o in outcomes]
        if any(template is not None for template in templates):
            self._failed_batches = 0
        elif templates:
            self._failed_batches += 1
        if templates and self._failed_batches == 2:
            logger.warning(
                "all reflections of the last two batches failed; training goes on, but evolution "
                "finds nothing new until base_url=%s serves model=%s",
                server.name,
                self.model,
            )
        return templates

    async def _ask_all(
        self, server: Endpoint, prompts: Sequence[str], requests: Sequence[ReflectionRequest]
    ) -> list[str | RequestFailed]:
        until = asyncio.get_running_loop().time() + self.batch_seconds
        gate = asyncio.Semaphore(self.concurrency)
        async with server.connect() as connection:
            return await asyncio.gather(
                *(
                    self._propose(connection, gate, until, index, prompt, request.seed)
                    for index, (prompt, request) in enumerate(zip(prompts, requests, strict=True))
                )
            )

    async def _propose(
        self,
        connection: Connection,
        gate: asyncio.Semaphore,
        until: float,
        index: int,
        prompt: str,
        seed: int,
    ) -> str | RequestFailed:
        payload = {
            "model": self.model,
            "messages": [{"role": "user", "content": prompt}],
            "temperature": self.temperature,
            "max_tokens": self.max_tokens,
            "seed": seed % SEED_RANGE,
        }
        async with gate:
            if asyncio.get_running_loop().time() >= until:
                reason = f"not begun within batch_seconds={self.batch_seconds:g}"
                return RequestFailed(Fault.TIMEOUT, reason)
            try:
                read = partial(self._read, index, prompt)
                return await connection.ask(
                    "/chat/completions", read, self.patience, payload, until=until
                )
            except RequestFailed as failure:
                return failure

    def _read(self, index: int, prompt: str, answer: bytes) -> str:
        content = read_json(answer)
        self._count(content)
        try:
            choice = content["choices"][0]
            text, cut_off = choice["message"]["content"], choice.get("finish_reason") == "length"
        except (LookupError, TypeError, AttributeError):
            raise ValueError("not a chat completion") from None
        if isinstance(text, str):
            self.exchanges[index] = Exchange(prompt, text, cut_off)
        template = extract_template(text, cut_off) if isinstance(text, str) else None
        if template is None:
            raise ValueError("no template in the answer")
        return template

    def _count(self, content: Any) -> None:
        """Note the tokens of an answer, whether or not it is of use; some servers do not tell."""
        try:
            spent = content["usage"]["completion_tokens"]
        except (LookupError, TypeError):
            return
        if type(spent) is int and 0 <= spent <= MOST_TOKENS:
            self.tokens += spent

    def _endpoint(self) -> Endpoint:
        key = self._key()
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        return Endpoint(self.base_url.rstrip("/"), headers)

    def _key(self) -> str:
        key = os.environ.get(self.api_key_variable, "").strip()
        # The error that httpx raises for a header it cannot send would show the key.
        if not (key.isascii() and key.isprintable()):
            raise UserError(
                f"environment variable {self.api_key_variable}: the key has characters that do not "
                "belong into a header; copy it anew"
            )
        return key
