"""Completions on the disk: whole parts, from which a broken evaluation goes on."""

import json
import logging
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet

from p2o.errors import FolderTaken, UserError
from p2o.running.files import written_whole

logger = logging.getLogger(__name__)

SETTINGS = "settings.json"
"""Beside the parts: what they follow from."""
SCHEMA = pyarrow.schema(
    {
        "benchmark": pyarrow.string(),
        "prompt_id": pyarrow.string(),
        "source": pyarrow.string(),
        "messages": pyarrow.string(),
        "sample": pyarrow.int32(),
        "seed": pyarrow.uint64(),
        "template": pyarrow.string(),
        "crowded": pyarrow.string(),
        "prompt": pyarrow.string(),
        "response": pyarrow.string(),
        "tokens": pyarrow.int32(),
        "finish_reason": pyarrow.string(),
        "reward": pyarrow.float64(),
        "solved": pyarrow.bool_(),
        "status": pyarrow.string(),
        "answer": pyarrow.string(),
        "detail": pyarrow.string(),
        "golds": pyarrow.list_(pyarrow.string()),
        "meta": pyarrow.string(),
    }
)
"""Columns; ``prompt`` is the rendered text, ``messages`` what was asked, as JSON, as ``meta`` is.
``crowded`` is the template for which there was no room. Without a verdict ``solved`` is null."""


class Completions:
    """A folder of parquet parts, one for each chunk of a benchmark.

    Args:
        folder: Where to; made by the first chunk when it is not there.
        settings: What the results follow from. Another evaluation in the same folder is refused.

    Raises:
        FolderTaken: The folder holds completions of other settings, or one cannot tell.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        self.folder = folder / "completions"
        self._settings = self.folder / SETTINGS
        self._text = json.dumps(settings, indent=2, sort_keys=True, default=str)
        if not self._settings.exists():
            return
        try:
            before, now = read_settings(folder), json.loads(self._text)
        except UserError as error:
            raise FolderTaken(f"{error}; delete that folder") from error
        if before != now:
            none = "not there"
            was, is_now = next(
                (f"{key}: {before.get(key, none)!r}", repr(now.get(key, none)))
                for key in sorted({*before, *now})
                if before.get(key, none) != now.get(key, none)
            )
            raise FolderTaken(
                f"{folder}: holds completions of other settings ({was}, now {is_now}); delete them"
            )

    def has(self, benchmark: str, chunk: int) -> bool:
        """Whether a chunk is done; a damaged one is not."""
        path = self._path(benchmark, chunk)
        if not path.exists():
            return False
        try:
            read_part(path)
        except UserError as error:
            logger.warning("%s; it is sampled again", error)
            return False
        return True

    def write(self, benchmark: str, chunk: int, rows: Sequence[Mapping[str, Any]]) -> None:
        """Keep a chunk, whole or not at all; what it follows from is written before the first.

        Raises:
            UserError: The disk is full, or cannot be written.
        """
        if not self._settings.exists():
            write_file(self._settings, self._text.encode())
        sink = pyarrow.BufferOutputStream()
        table = pyarrow.Table.from_pylist(list(rows), SCHEMA)
        pyarrow.parquet.write_table(table, sink, write_page_checksum=True)
        write_file(self._path(benchmark, chunk), sink.getvalue().to_pybytes())

    def _path(self, benchmark: str, chunk: int) -> Path:
        return self.folder / f"{benchmark}-{chunk:05d}.parquet"


def read_completions(
    folder: Path, benchmarks: Collection[str] | None = None
) -> list[dict[str, Any]]:
    """The completions of an evaluation, benchmark by benchmark, in order.

    Args:
        folder: Of the evaluation.
        benchmarks: Names of those whose completions are read; all when left out.

    Raises:
        UserError: There are none, or some are damaged.
    """
    parts = [
        path
        for path in sorted((folder / "completions").glob("*.parquet"))
        if benchmarks is None or path.stem.rpartition("-")[0] in benchmarks
    ]
    if not parts:
        raise UserError(f"{folder}: no completions of p2o-eval in it")
    try:
        return [row for part in parts for row in read_part(part)]
    except UserError as error:
        raise UserError(f"{error}; the same evaluation in {folder} makes it again") from error


def read_part(path: Path) -> list[dict[str, Any]]:
    """The completions of one chunk.

    Raises:
        UserError: The file is damaged.
    """
    try:
        with pyarrow.parquet.ParquetFile(path, page_checksum_verification=True) as file:
            table = file.read()
        if not table.schema.equals(SCHEMA):
            raise ValueError("its columns are not those of this p2o-eval")
        return table.to_pylist()
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"{path}: damaged ({reason})") from error


def read_settings(folder: Path) -> dict[str, Any]:
    """What the completions of an evaluation follow from; nothing is known where there are none.

    Raises:
        UserError: The file is damaged.
    """
    path = folder / "completions" / SETTINGS
    if not path.exists():
        return {}
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(settings, dict):
            raise ValueError("no object")
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(
            f"{path}: damaged ({error}), so what the completions beside it follow from is not known"
        ) from error
    return settings


def write_file(path: Path, content: bytes) -> None:
    """Write a file of an evaluation, whole or not at all.

    Raises:
        UserError: The disk is full, or cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with written_whole(path) as file:
            file.write(content)
    except OSError as error:
        raise UserError(
            f"{path}: cannot be written ({error.strerror}); make room and start again in the "
            "same folder, what is there is kept"
        ) from error
