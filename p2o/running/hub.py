"""The Hugging Face hub, and what is kept of it where it cannot be reached."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import httpx

SECONDS = 5.0
"""Within which the hub has to answer."""


@contextmanager
def cached_if_unreachable() -> Iterator[None]:
    """Ask once in a process whether the hub answers; libraries would try five times, with pauses.

    What has been downloaded before is there without it.
    """
    import huggingface_hub.constants as constants

    known: list[Any] = [constants]
    if "datasets.config" in sys.modules:
        known.append(sys.modules["datasets.config"])
    before = [module.HF_HUB_OFFLINE for module in known]
    offline = any(before) or not _answers(constants.ENDPOINT)
    for module in known:
        module.HF_HUB_OFFLINE = offline
    try:
        yield
    finally:
        for module, value in zip(known, before, strict=True):
            module.HF_HUB_OFFLINE = value


@cache
def _answers(endpoint: str) -> bool:
    try:
        httpx.head(endpoint, timeout=SECONDS)
    except httpx.TransportError:
        return False
    return True
