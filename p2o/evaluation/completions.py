"""Completions on the disk: whole parts, from which a broken evaluation goes on."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet

from p2o.errors import UserError
from p2o.files import written_whole

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
            _write(kept, text.encode())
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
        _write(self._path(benchmark, chunk), sink.getvalue().to_pybytes())

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


def _write(path: Path, content: bytes) -> None:
    try:
        with written_whole(path) as file:
            file.write(content)
    except OSError as error:
        raise UserError(
            f"{path}: cannot be written ({error.strerror}); make room and start again with the "
            "same hydra.run.dir, what is there is kept"
        ) from error
