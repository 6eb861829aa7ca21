"""Requests over HTTP that end: each has one deadline, and an answer has a largest size.

A server that is busy, broken or out of reach is asked again. What did not work in the end has one
kind of fault, whatever the cause, and a line that can be shown: no keys, no control characters.
"""

import asyncio
import math
import random
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from enum import Enum
from functools import cache
from json import dumps
from time import time
from typing import Annotated, Any, TypeVar
from urllib.parse import urlsplit

import httpx
from anyio.from_thread import start_blocking_portal
from pydantic import AfterValidator
from pydantic_core import from_json

from p2o.errors import UserError
from p2o.running.secrets import hide, map_texts, secrets_of

CONNECT_SECONDS = 10.0
"""For a connection, where a request has more."""
LONGEST_PAUSE = 30.0
"""Seconds between attempts, where doubling ends."""
EXCERPT = 200
"""Characters of an answer that are shown."""
HEADER_NAME = re.compile(r"[\w!#$%&'*+.^`|~-]+", re.ASCII)
BUSY = {408, 409, 425, 429}
"""Statuses after which another attempt may do better, besides 5xx."""


def _is_address(url: str) -> str:
    parts = urlsplit(url)
    # What is no port raises a ValueError.
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0:
        raise ValueError("no address")
    return url


Address = Annotated[str, AfterValidator(_is_address), "such as http://host:8000"]

# Its own generator: training must not depend on how often a server fails.
_jitter = random.Random()


T = TypeVar("T")


class Fault(Enum):
    """Why a request has no answer."""

    UNREACHABLE = "no connection, or one that broke"
    TIMEOUT = "no whole answer in time"
    BUSY = "a status that passes"
    REFUSED = "a status that stays"
    UNUSABLE = "an answer that is none"


PASSING = frozenset({Fault.UNREACHABLE, Fault.TIMEOUT, Fault.BUSY})


class RequestFailed(Exception):
    """What became of the last attempt.

    Attributes:
        fault: Its kind.
        status: Of the answer, if there was one.
        asked_pause: Seconds after which the server wants to be asked again.
    """

    def __init__(
        self, fault: Fault, reason: str, status: int | None = None, asked_pause: float = 0.0
    ) -> None:
        super().__init__(reason)
        self.fault, self.status, self.asked_pause = fault, status, asked_pause


@dataclass(frozen=True)
class Patience:
    """How long, how often and how much.

    Attributes:
        seconds: For one attempt, from the connection to the last byte of the answer.
        largest: Bytes of an answer.
        attempts: At most, the first one included.
        pause: Seconds before the second attempt; they double, and are shorter by up to a half at
            random, so that many clients do not come back at once.
        longest_asked: Seconds of a pause that a server may ask for by Retry-After.
        again: Faults after which there is another attempt.
    """

    seconds: float
    largest: int
    attempts: int = 1
    pause: float = 0.5
    longest_asked: float = math.inf
    again: Collection[Fault] = PASSING


class Endpoint:
    """A server.

    Args:
        url: Where it is, with a path or without; may hold a user and a password.
        headers: Of each request.

    Raises:
        UserError: A header cannot be sent.
    """

    def __init__(self, url: str, headers: Mapping[str, str] | None = None) -> None:
        self.url, self.headers = url, dict(headers or {})
        for name, value in self.headers.items():
            # What httpx raises would show the value.
            sendable = value.isascii() and value.isprintable() and value == value.strip()
            if not (sendable and HEADER_NAME.fullmatch(name)):
                raise UserError(
                    f"headers.{name!a}: it has characters that do not belong into a header; give "
                    "letters, digits and signs of ASCII in one line, without space at the ends"
                )
        self._secrets = secrets_of(url, self.headers)
        # The address as it may be shown.
        self.name = self.excerpt(url)

    def excerpt(self, text: str | bytes) -> str:
        """The beginning of what a server says, in one line and without what must not be shown."""
        text = text.decode(errors="replace") if isinstance(text, bytes) else text
        printable = "".join(c if c.isprintable() else " " for c in text[: 100 * EXCERPT])
        return hide(" ".join(printable.split()), self._secrets)[:EXCERPT]

    def hidden(self, content: Any) -> Any:
        """What a server says in JSON, without what must not be shown."""
        return map_texts(content, lambda text: hide(text, self._secrets))

    @asynccontextmanager
    async def connect(self) -> AsyncIterator["Connection"]:
        """Requests, any number of them side by side."""
        # A connection for each request: a server may close an idle one just when it is used again.
        # Uncompressed, so that a small answer is not a large one.
        always = {"Content-Type": "application/json", "Accept-Encoding": "identity"}
        client = httpx.AsyncClient(
            verify=_trusted(),
            limits=httpx.Limits(max_keepalive_connections=0),
            headers={**always, "Connection": "close", **self.headers},
        )
        async with client:
            yield Connection(self, client)


class Connection:
    """What asks a server; see `Endpoint.connect`."""

    def __init__(self, endpoint: Endpoint, client: httpx.AsyncClient) -> None:
        self._endpoint, self._client = endpoint, client
        self.name = endpoint.name

    async def ask(
        self,
        path: str,
        read: Callable[[bytes], T],
        patience: Patience,
        content: Any = None,
        method: str = "POST",
        until: float = math.inf,
    ) -> T:
        """What `read` makes of an answer.

        Args:
            path: Put behind the server's address.
            read: Raises ValueError for an answer that is none.
            patience: Limits.
            content: Sent as JSON; None for nothing.
            method: Of HTTP.
            until: When all attempts have to be over, by the clock of the event loop. A pause that
                would take longer is not waited for.

        Raises:
            RequestFailed: Every attempt that was allowed.
        """
        clock = asyncio.get_running_loop().time
        body = None if content is None else dumps(content, default=str).encode()
        for attempt in range(1, patience.attempts + 1):
            left = min(patience.seconds, until - clock())
            try:
                return await self._attempt(method, path, body, read, left, patience.largest)
            except RequestFailed as failure:
                asked = min(failure.asked_pause, patience.longest_asked)
                backoff = min(patience.pause * 2 ** (attempt - 1), LONGEST_PAUSE)
                pause = asked + backoff * _jitter.uniform(0.5, 1.0)
                last = attempt == patience.attempts or failure.fault not in patience.again
                if last or clock() + pause > until:
                    raise
            await asyncio.sleep(pause)
        raise AssertionError("there is at least one attempt")

    async def _attempt(
        self,
        method: str,
        path: str,
        body: bytes | None,
        read: Callable[[bytes], T],
        seconds: float,
        largest: int,
    ) -> T:
        try:
            url = _address(self._endpoint.url + path)
            limit = httpx.Timeout(None, connect=min(CONNECT_SECONDS, max(seconds, 1e-3) / 2))
            async with (
                asyncio.timeout(max(seconds, 0.0)),
                self._client.stream(method, url, content=body, timeout=limit) as response,
            ):
                answer = await _read_body(response, largest)
        except TimeoutError:
            raise RequestFailed(
                Fault.TIMEOUT, f"no whole answer within {seconds:.3g} seconds"
            ) from None
        except (httpx.UnsupportedProtocol, httpx.InvalidURL) as error:
            raise RequestFailed(Fault.REFUSED, self._describe(error)) from None
        except httpx.TransportError as error:
            raise RequestFailed(Fault.UNREACHABLE, self._describe(error)) from None
        except httpx.HTTPError as error:
            raise RequestFailed(Fault.UNUSABLE, self._describe(error)) from None
        status = response.status_code
        if not response.is_success:
            passing = status >= 500 or status in BUSY
            pause = _retry_after(response.headers.get("Retry-After", "")) if passing else 0.0
            asks = f", asks to come back in {pause:.0f} seconds" if pause else ""
            raise RequestFailed(
                Fault.BUSY if passing else Fault.REFUSED,
                f"status {status}{asks}: {self._endpoint.excerpt(answer)}",
                status,
                pause,
            )
        if len(answer) > largest:
            raise RequestFailed(Fault.UNUSABLE, f"an answer of more than {largest:,} bytes", status)
        try:
            return read(answer)
        except ValueError as error:
            reason = f"{self._endpoint.excerpt(str(error))}: {self._endpoint.excerpt(answer)}"
            raise RequestFailed(Fault.UNUSABLE, reason, status) from None

    def _describe(self, error: Exception) -> str:
        return self._endpoint.excerpt(f"{type(error).__name__}: {error}")


def run(work: Callable[[], Awaitable[T]]) -> T:
    """The result of asynchronous work, done in an event loop of a thread of its own.

    The caller may have a loop already, as notebooks do; when a signal interrupts the waiting, the
    work is cancelled.
    """
    with start_blocking_portal() as portal:
        return portal.call(work)


def read_json(answer: bytes) -> Any:
    """JSON of any form.

    Raises:
        ValueError: It is none, nested too deep, or holds text that is no Unicode.
    """
    try:
        return from_json(answer)
    except ValueError as error:
        raise ValueError(f"no JSON ({error})") from None


def _address(url: str) -> httpx.URL:
    """An address with a port that there is.

    Raises:
        httpx.InvalidURL: It is none.
    """
    address = httpx.URL(url)
    if not 0 < (address.port or 80) < 2**16:
        raise httpx.InvalidURL(f"there is no port {address.port}; give one up to 65535")
    return address


async def _read_body(response: httpx.Response, largest: int) -> bytes:
    """The answer, or its beginning where it is longer than `largest`."""
    parts: list[bytes] = []
    size = 0
    async for part in response.aiter_bytes():
        parts.append(part)
        size += len(part)
        if size > largest:
            break
    return b"".join(parts)


@cache
def _trusted() -> Any:
    return httpx.create_ssl_context()


def _retry_after(value: str) -> float:
    """Seconds, given as a number or a date; 0 when neither."""
    try:
        if value.isdigit():
            return float(value)
        return max(0.0, parsedate_to_datetime(value).timestamp() - time())
    except (ValueError, OverflowError):
        return 0.0
