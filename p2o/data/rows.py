"""Rows as plain mappings, read with ``datasets``."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import httpx

from p2o.errors import UserError

FORMATS = {".json": "json", ".jsonl": "json", ".parquet": "parquet", ".csv": "csv"}
"""Suffixes of files, and what ``datasets`` calls their format."""

SECONDS = 5.0
"""Within which the hub has to answer."""


def read_file(path: Path) -> Sequence[Mapping[str, Any]]:
    """Rows of a file, or of all files in a folder, in the order of their names.

    Raises:
        UserError: There is no such file, or it cannot be read.
    """
    return [row for file in _files(path) for row in _read(file)]


def _read(path: Path) -> list[dict[str, Any]]:
    import datasets
    from datasets.exceptions import DatasetGenerationError

    kind = FORMATS[path.suffix]
    try:
        builder: Any = datasets.load_dataset_builder(kind, data_files=str(path))
        builder.download_and_prepare()
        # A data set without rows cannot be made.
        if not builder.info.splits["train"].num_examples:
            return []
        return builder.as_dataset(split="train").to_list()
    except (DatasetGenerationError, ValueError) as error:
        raise UserError(
            f"path={path}: cannot be read as {kind} ({error.__cause__ or error})"
        ) from error


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.suffix in FORMATS)
        if not files:
            raise UserError(f"path={path}: no {', '.join(FORMATS)} files in it")
    else:
        files = [path]
    for file in files:
        if not file.is_file():
            raise UserError(f"path={file}: no such file (looked from {Path.cwd()})")
        if file.suffix not in FORMATS:
            raise UserError(f"path={file}: give one of {', '.join(FORMATS)}")
        if file.stat().st_size == 0:
            raise UserError(f"path={file}: the file is empty")
    return files


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
    except (OSError, DatasetGenerationError, ValueError, RuntimeError) as error:
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
