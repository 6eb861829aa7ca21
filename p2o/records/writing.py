"""Rows to parts of tables: each a whole file or not there."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from p2o.records.schema import FOLDER, PART, PARTS, TABLES, Rows
from p2o.running.files import written_whole


def append(run: Path, name: str, rows: Rows) -> Path:
    """Add rows to a table of a run, as a part of their own.

    Args:
        run: The folder of the run.
        name: Of the table, one of `TABLES`.
        rows: Values by column; a column that a row lacks is null.

    Returns:
        The file.
    """
    folder = run / FOLDER / name
    return write_part(folder, len(list(folder.glob(PARTS))), rows)


def write_part(folder: Path, number: int, rows: Rows) -> Path:
    """Write one part of the table whose name is the folder's, in place of another of its number."""
    schema = TABLES[folder.name]
    unknown = {column for row in rows for column in row} - set(schema.names)
    if unknown:
        raise ValueError(f"{folder.name} has no column {', '.join(sorted(unknown))}")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / PART.format(number)
    with written_whole(path) as file:
        pq.write_table(pa.Table.from_pylist(list(rows), schema=schema), file, compression="zstd")
    return path


def drop_parts(folder: Path, kept: int) -> None:
    """Delete the parts of a table from the number `kept` on."""
    for path in folder.glob(PARTS):
        if path.name >= PART.format(kept):
            path.unlink()
