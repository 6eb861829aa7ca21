"""Completions on the disk: whole parts, from which a broken evaluation goes on."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet

from p2o.errors import UserError

SCHEMA = pyarrow.schema(
    {
        "benchmark": pyarrow.string(),
        "prompt_id": pyarrow.string(),
        "sample": pyarrow.int32(),
        "seed": pyarrow.uint64(),
        "template": pyarrow.string(),
        "prompt": pyarrow.string(),
        "response": pyarrow.string(),
        "tokens": pyarrow.int32(),
        "finish_reason": pyarrow.string(),
        "reward": pyarrow.float64(),
        "status": pyarrow.string(),
        "answer": pyarrow.string(),
        "detail": pyarrow.string(),
        "golds": pyarrow.list_(pyarrow.string()),
        "meta": pyarrow.string(),
    }
)
"""Columns; ``prompt`` is the rendered text and ``meta`` JSON."""


class Completions:
    """A folder of parquet parts, one for each chunk of a benchmark.

    Args:
        folder: Where to; made when it is not there.
        settings: What the results follow from. Another evaluation in the same folder is refused.

    Raises:
        UserError: The folder holds completions of other settings.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        self.folder = folder / "completions"
        self.folder.mkdir(parents=True, exist_ok=True)
        kept = self.folder / "settings.json"
        text = json.dumps(settings, indent=2, sort_keys=True, default=str)
        if not kept.exists():
            _write_whole(kept, text.encode())
        elif kept.read_text() != text:
            before = json.loads(kept.read_text())
            now = json.loads(text)
            key = next(k for k in sorted({*before, *now}) if before.get(k) != now.get(k))
            raise UserError(
                f"{folder}: holds completions of other settings ({key}: {before.get(key)!r}, now "
                f"{now.get(key)!r}); give another hydra.run.dir"
            )

    def has(self, benchmark: str, chunk: int) -> bool:
        """Whether a chunk is done."""
        return self._path(benchmark, chunk).exists()

    def write(self, benchmark: str, chunk: int, rows: Sequence[Mapping[str, Any]]) -> None:
        """Keep a chunk, whole or not at all.

        Raises:
            UserError: The disk is full, or cannot be written.
        """
        sink = pyarrow.BufferOutputStream()
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(list(rows), SCHEMA), sink)
        _write_whole(self._path(benchmark, chunk), sink.getvalue().to_pybytes())

    def _path(self, benchmark: str, chunk: int) -> Path:
        return self.folder / f"{benchmark}-{chunk:05d}.parquet"


def read_completions(folder: Path) -> list[dict[str, Any]]:
    """All completions of an evaluation, benchmark by benchmark, in order.

    Raises:
        UserError: There are none.
    """
    parts = sorted((folder / "completions").glob("*.parquet"))
    if not parts:
        raise UserError(f"{folder}: no completions of p2o-eval in it")
    return [row for part in parts for row in pyarrow.parquet.read_table(part).to_pylist()]


def _write_whole(path: Path, content: bytes) -> None:
    unfinished = path.with_name(path.name + ".part")
    try:
        with unfinished.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        raise UserError(
            f"{path}: cannot be written ({error.strerror}); make room and start again with the "
            "same hydra.run.dir, what is there is kept"
        ) from error
