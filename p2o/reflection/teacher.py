"""Reflection with a stronger language model behind an OpenAI-compatible endpoint."""

import logging
import os
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import httpx

from p2o import retries
from p2o.distributed import on_rank_zero
from p2o.errors import UserError
from p2o.hints import Count, NotNegative, Positive
from p2o.reflection.base import ReflectionRequest
from p2o.reflection.meta_prompt import extract_template, render_meta_prompt
from p2o.rollout.engine import RolloutEngine
from p2o.rollout.rendering import ChatRenderer

logger = logging.getLogger(__name__)

PREFLIGHT_SECONDS = 10.0
FIRST_PAUSE = 0.5
"""Seconds before a second attempt."""
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
        seconds: Time limit for the server to connect or to go on; also the longest pause that a
            server may ask for.
        attempts: Calls made for one request before it counts as failed.
        concurrency: Calls under way at once.

    Raises:
        UserError: `attempts` or `concurrency` cannot work.
    """

    def __init__(
        self,
        base_url: str,
        model: str,
        api_key_variable: str = "OPENAI_API_KEY",
        temperature: NotNegative = 1.0,
        max_tokens: Count = 4096,
        seconds: Positive = 120.0,
        attempts: int = 4,
        concurrency: int = 16,
    ) -> None:
        for name, number in (("attempts", attempts), ("concurrency", concurrency)):
            if number < 1:
                raise UserError(f"{name}={number}: give at least 1")
        self.base_url, self.model, self.api_key_variable = base_url, model, api_key_variable
        self.temperature, self.max_tokens = temperature, max_tokens
        self.seconds, self.attempts, self.concurrency = seconds, attempts, concurrency
        self._failed_batches = 0
        self.tokens, self._lock = 0, threading.Lock()

    def bind(self, engine: RolloutEngine, renderer: ChatRenderer) -> None:
        """Find out whether the server answers and takes the key.

        Raises:
            UserError: It does not.
        """
        try:
            with self._client(PREFLIGHT_SECONDS) as client:
                response = client.get("/models")
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise UserError(
                f"base_url={self.base_url}: no answer ({type(error).__name__}: {error});"
                " start the server or give the address where its API begins, say https://host/v1"
            ) from error
        if response.status_code in (401, 403):
            state = "is set but not accepted" if self._key() else "is not set"
            raise UserError(
                f"base_url={self.base_url}: answered {response.status_code} and the "
                f"environment variable {self.api_key_variable} {state}; put a valid key there or "
                "name another variable in api_key_variable"
            )
        # Some servers do not list their models.
        if not response.is_success and response.status_code != 404:
            logger.warning(
                "base_url=%s answered %d to GET /models; going on all the same",
                self.base_url,
                response.status_code,
            )

    def reflect(self, requests: Sequence[ReflectionRequest]) -> list[str | None]:
        """Write one template for each request, side by side; see `Reflection.reflect`.

        Collective: rank 0 calls the server and every rank gets its templates.
        """
        return on_rank_zero(lambda: self._reflect(requests))

    def _reflect(self, requests: Sequence[ReflectionRequest]) -> list[str | None]:
        with self._client(self.seconds) as client, ThreadPoolExecutor(self.concurrency) as executor:
            templates = list(executor.map(partial(self._propose, client), requests))
        if any(template is not None for template in templates):
            self._failed_batches = 0
        elif templates:
            self._failed_batches += 1
        if templates and self._failed_batches == 2:
            logger.warning(
                "all reflections of the last two batches failed; training goes on, but evolution "
                "finds nothing new until base_url=%s serves model=%s",
                self.base_url,
                self.model,
            )
        return templates

    def _propose(self, client: httpx.Client, request: ReflectionRequest) -> str | None:
        payload = {
            "model": self.model,
            "messages": [{"role": "user", "content": render_meta_prompt(request)}],
            "temperature": self.temperature,
            "max_tokens": self.max_tokens,
            "seed": request.seed % SEED_RANGE,
        }
        try:
            response = self._post(client, payload)
            self._count(response)
            return self._read(response)
        except _Failure as failure:
            logger.warning("reflection failed: %s", failure)
            return None

    def _post(self, client: httpx.Client, payload: dict[str, Any]) -> httpx.Response:
        try:
            response = retries.post(
                client, "/chat/completions", self.attempts, FIRST_PAUSE, json=payload
            )
        except httpx.HTTPError as error:
            raise _Failure(f"{type(error).__name__}: {error}") from error
        if not response.is_success:
            raise _Failure(f"status {response.status_code}: {self._excerpt(response)}")
        return response

    def _count(self, response: httpx.Response) -> None:
        """Note the tokens of an answer, whether or not it is of use; some servers do not tell."""
        try:
            spent = response.json()["usage"]["completion_tokens"]
        except (ValueError, LookupError, TypeError):
            return
        if isinstance(spent, int):
            with self._lock:
                self.tokens += spent

    def _read(self, response: httpx.Response) -> str:
        try:
            text = response.json()["choices"][0]["message"]["content"]
        except (ValueError, LookupError, TypeError) as error:
            raise _Failure(f"not a chat completion: {self._excerpt(response)}") from error
        template = extract_template(text) if isinstance(text, str) else None
        if template is None:
            raise _Failure(f"no template in the answer: {self._excerpt(response)}")
        return template

    def _client(self, seconds: float) -> httpx.Client:
        key = self._key()
        return httpx.Client(
            base_url=self.base_url,
            headers={"Authorization": f"Bearer {key}"} if key else {},
            timeout=seconds,
            limits=httpx.Limits(max_connections=self.concurrency),
        )

    def _key(self) -> str:
        key = os.environ.get(self.api_key_variable, "").strip()
        # The error that httpx raises for a header it cannot send would show the key.
        if not (key.isascii() and key.isprintable()):
            raise UserError(
                f"environment variable {self.api_key_variable}: the key has characters that do not "
                "belong into a header; copy it anew"
            )
        return key

    def _excerpt(self, response: httpx.Response) -> str:
        """The beginning of a body, in one line and without the key, which some servers repeat."""
        text, key = " ".join(response.text.split()), self._key()
        return (text.replace(key, "***") if key else text)[:200]


class _Failure(Exception):
    """A call without a template, and why."""
