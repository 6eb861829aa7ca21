"""Rows of hub data sets, read with ``datasets``."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

import httpx

from p2o.errors import UserError

SECONDS = 5.0
"""Within which the hub has to answer."""


def read_hub(path: str, name: str | None, split: str) -> Sequence[Mapping[str, Any]]:
    """Rows of a hub data set.

    Raises:
        UserError: It is not there, or the hub cannot be reached.
    """
    import datasets
    from datasets.exceptions import DatasetGenerationError

    try:
        with cached_if_unreachable():
            return datasets.load_dataset(path, name, split=split).to_list()
    except (OSError, DatasetGenerationError, ValueError, OverflowError, RuntimeError) as error:
        raise UserError(
            f"path={path}: no file, and not to be had from the hub "
            f"({str(error).splitlines()[0]}); give a local .json, .jsonl, .parquet or .csv file"
        ) from error


@contextmanager
def cached_if_unreachable() -> Iterator[None]:
    """Ask once in a process whether the hub answers; libraries would try five times, with pauses.

    What has been downloaded before is there without it.
    """
    import huggingface_hub.constants as constants
    from datasets import config

    before = constants.HF_HUB_OFFLINE, config.HF_HUB_OFFLINE
    offline = any(before) or not _answers(constants.ENDPOINT)
    constants.HF_HUB_OFFLINE = config.HF_HUB_OFFLINE = offline
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE, config.HF_HUB_OFFLINE = before


@cache
def _answers(endpoint: str) -> bool:
    try:
        httpx.head(endpoint, timeout=SECONDS)
    except httpx.TransportError:
        return False
    return True
