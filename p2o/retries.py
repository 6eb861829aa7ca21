"""Requests that are made again when a server is busy, broken or out of reach for a while."""

import random
import time
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

LONGEST_PAUSE = 30.0
"""Seconds between attempts, where doubling ends."""
BUSY = {408, 409, 425, 429}
"""Statuses after which another attempt may do better, besides 5xx."""
# Its own generator: training must not depend on how often a server fails.
_jitter = random.Random()


def post(
    client: httpx.Client, url: str, attempts: int, pause: float, **request: Any
) -> httpx.Response:
    """The answer to the last of at most `attempts` requests, whatever its status.

    Pauses double, and are shorter by up to a half at random, so that many clients do not come back
    at once. A server may ask for longer ones by Retry-After, up to the client's read timeout.

    Args:
        client: Makes the requests.
        url: As for the client.
        attempts: At most, the first one included.
        pause: Seconds before the second one.
        request: Further arguments of `httpx.Client.post`.

    Raises:
        httpx.TransportError: What became of the last attempt.
    """
    for attempt in range(1, attempts):
        asked = 0.0
        try:
            response = client.post(url, **request)
        except httpx.UnsupportedProtocol:
            raise
        except httpx.TransportError:
            pass
        else:
            if response.status_code < 500 and response.status_code not in BUSY:
                return response
            asked = _retry_after(response.headers.get("Retry-After", ""))
        backoff = min(pause * 2 ** (attempt - 1), LONGEST_PAUSE)
        time.sleep(min(asked, client.timeout.read or asked) + backoff * _jitter.uniform(0.5, 1.0))
    return client.post(url, **request)


def _retry_after(value: str) -> float:
    """Seconds, given as a number or a date; 0 when neither."""
    try:
        if value.isdigit():
            return float(value)
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, OverflowError):
        return 0.0
