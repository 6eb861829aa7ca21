"""Rows of files, every cell exactly as the file has it."""

import csv
import io
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet

from p2o.errors import UserError

Row = Mapping[Any, Any]
"""A row's cells by column; of the key None, cells for which there is no column."""

NOT_JSON = (ValueError, RecursionError)


def read_file(path: Path) -> list[Row]:
    """Rows of a file, or of all files in a folder, in the order of their names.

    Raises:
        UserError: There is no such file, or it cannot be read.
    """
    return [row for file in files_of(path) for row in READERS[file.suffix](file)]


def read_json(path: Path) -> Sequence[Row]:
    """Objects of a list, of a table of columns, or one on each line.

    Raises:
        UserError: It is not JSON, or something in it is no row.
    """
    text = _text(path, "json")
    try:
        content = parse_json(text)
    except json.JSONDecodeError as error:
        if error.msg != "Extra data":
            raise _unreadable(path, "json", error) from error
        return read_lines(path)
    except NOT_JSON as error:
        raise _unreadable(path, "json", error) from error
    if isinstance(content, dict):
        columns = [cells for cells in content.values() if isinstance(cells, list)]
        if len(columns) < len(content) or len(set(map(len, columns))) != 1:
            return [content]
        content = [dict(zip(content, cells, strict=True)) for cells in zip(*columns, strict=True)]
    rows = content if isinstance(content, list) else [content]
    for index, row in enumerate(rows):
        if not isinstance(row, dict):
            raise _unreadable(path, "json", f"row {index} is no object but {row!r:.40}")
    return rows


def read_lines(path: Path) -> Sequence[Row]:
    """Objects of a file with one on each line.

    Raises:
        UserError: A line is not JSON, or no object.
    """
    return list(_lines(path))


def _lines(path: Path) -> Iterator[Row]:
    # Other ends of lines may be in the middle of a text.
    for number, line in enumerate(_text(path, "json").split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = parse_json(line)
        except NOT_JSON as error:
            raise _unreadable(path, "json", f"line {number}: {error}") from error
        if not isinstance(row, dict):
            raise _unreadable(path, "json", f"line {number} is no object but {row!r:.40}")
        yield row


def parse_json(text: str) -> Any:
    """Content of a JSON text; numbers that are not whole are `Decimal`, NaN is None.

    Raises:
        ValueError: It is not JSON, or an object has two values of one name.
        RecursionError: It is nested too deeply.
    """
    return json.loads(
        text,
        parse_float=_number,
        parse_constant=lambda _: None,
        object_pairs_hook=_object,
    )


def read_csv(path: Path) -> Sequence[Row]:
    """Rows of a file with a header; every cell is text.

    Raises:
        UserError: Quotes are wrong, or two columns have one name.
    """
    csv.field_size_limit(sys.maxsize)
    reader = csv.DictReader(io.StringIO(_text(path, "csv"), newline=""), strict=True)
    try:
        names = list(reader.fieldnames or ())
        rows = list(reader)
    except csv.Error as error:
        raise _unreadable(path, "csv", f"line {reader.reader.line_num}: {error}") from error
    _check_names(path, "csv", names)
    return rows


def read_parquet(path: Path) -> Sequence[Row]:
    """Rows of a parquet file.

    Raises:
        UserError: It is damaged, or two columns have one name.
    """
    try:
        # A table of the file alone: what a folder is called makes no columns.
        with pyarrow.parquet.ParquetFile(path) as file:
            table = file.read()
        _check_names(path, "parquet", table.column_names)
        return _as_written(table).to_pylist()
    except (pyarrow.ArrowException, OSError, OverflowError, ValueError) as error:
        raise _unreadable(path, "parquet", error) from error


def _as_written(table: pyarrow.Table) -> pyarrow.Table:
    """Numbers of single precision as they are spelled: 0.1, not 0.10000000149011612."""
    for index, field in enumerate(table.schema):
        if "float" in str(field.type):
            column = table.column(index)
            for kind in (pyarrow.string(), pyarrow.float64()):
                column = column.cast(_single_as(kind, field.type))
            table = table.set_column(index, field.name, column)
    return table


def _single_as(kind: pyarrow.DataType, within: pyarrow.DataType) -> pyarrow.DataType:
    """A type with another one in place of single precision, also in lists."""
    if pyarrow.types.is_list(within):
        return pyarrow.list_(_single_as(kind, within.value_type))
    return kind if pyarrow.types.is_float32(within) else within


READERS = {
    ".json": read_json,
    ".jsonl": read_lines,
    ".parquet": read_parquet,
    ".csv": read_csv,
}
"""What reads a file, by its suffix."""


def files_of(path: Path) -> list[Path]:
    """The files that `read_file` reads.

    Raises:
        UserError: There are none, or one is of another kind or empty.
    """
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.suffix in READERS)
        if not files:
            raise UserError(f"path={path}: no {', '.join(READERS)} files in it")
    else:
        files = [path]
    for file in files:
        if not file.is_file():
            raise UserError(f"path={file}: no such file (looked from {Path.cwd()})")
        if file.suffix not in READERS:
            raise UserError(f"path={file}: give one of {', '.join(READERS)}")
        if file.stat().st_size == 0:
            raise UserError(f"path={file}: the file is empty")
    return files


def _text(path: Path, kind: str) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(path, kind, error) from error


def _number(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation as error:
        raise ValueError(f"the exponent of {text:.40} is too large") from error


def _object(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"an object has two values of the name {twice!r}")
    return made


def _check_names(path: Path, kind: str, names: Sequence[str]) -> None:
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise _unreadable(path, kind, f"two columns are named {twice!r}")


def _unreadable(path: Path, kind: str, reason: object) -> UserError:
    said = (str(reason).splitlines() or [type(reason).__name__])[0]
    return UserError(f"path={path}: cannot be read as {kind} ({said})")
