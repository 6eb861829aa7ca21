"""The records of a run, as Arrow tables."""

from array import array
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from p2o.errors import UserError
from p2o.records.labels import in_words
from p2o.records.schema import FOLDER, NEEDED, PARTS, TABLES, VERSION, VERSION_KEY

Value = str | int | float | bool | None


class Records:
    """The tables of one run, read when they are asked for.

    Part of a table may be missing: a table that was not written is empty, a column that an older
    version did not write is null, and a part that cannot be read is left out, as are rows that lack
    a column of `NEEDED`. `notes` says so.

    Args:
        folder: ``RUN/records``.

    Attributes:
        notes: One line for each thing that could not be read as it should be.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.notes: list[str] = []
        self._tables: dict[tuple[str, tuple[str, ...]], pa.Table] = {}

    @property
    def tables(self) -> list[str]:
        """Names of the tables that have been written."""
        return [name for name in TABLES if any(self._parts(name))]

    def rollouts(self) -> pa.Table:
        """Every recorded rollout of training, searches and evaluations."""
        return self.query("rollouts")

    def tokens(self) -> pa.Table:
        """Of each epoch and problem one success with a hint, token by token."""
        return self.query("tokens")

    def problems(self) -> pa.Table:
        """The problems: question and right answer by id."""
        return self.query("problems")

    def hints(self) -> pa.Table:
        """The texts of hints by id."""
        return self.query("hints")

    def candidates(self) -> pa.Table:
        """What searches have tried, and what became of it."""
        return self.query("candidates")

    def exchanges(self) -> pa.Table:
        """What the reflection model was asked and what it answered."""
        return self.query("exchanges")

    def pool(self) -> pa.Table:
        """Which rollout of which problem gets which hint, by epoch."""
        return self.query("pool")

    def hard(self) -> pa.Table:
        """The hard set at the end of each epoch."""
        return self.query("hard")

    def ended_epochs(self) -> set[int]:
        """Those whose end is on record: each has a part of ``hard`` of its number, maybe empty.

        An epoch whose part cannot be read is left out, as its number of hard problems is unknown.
        """
        schema = TABLES["hard"]
        whole = (path for path in self._parts("hard") if self._read_part(path, schema) is not None)
        return {int(path.stem.rpartition("-")[2]) for path in whole}

    def texts(self) -> dict[str, str]:
        """What hints say, by id; the empty one included."""
        labels = self.rows("hints", ["hint", "text"])
        return {"": "", **{hint: in_words(label) for hint, label in labels}}

    def query(
        self, name: str, columns: Iterable[str] | None = None, **equal: Value | Iterable[Value]
    ) -> pa.Table:
        """Rows of a table; ``.to_pandas()`` makes a frame of them where pandas is installed.

        Args:
            name: Of the table, one of `TABLES`.
            columns: Those to read; all when left out.
            equal: What columns have to be: a value, None for none, or one of several values.

        Example::

            read(run).query("rollouts", ["epoch", "response"], problem="4f2a...", solved=True)

        Raises:
            UserError: There is no such table or column.
        """
        schema = TABLES.get(name)
        if schema is None:
            raise UserError(f"no table {name}; there are {', '.join(TABLES)}")
        wanted = list(schema.names if columns is None else columns)
        for column in (*wanted, *equal):
            if column not in schema.names:
                raise UserError(f"{name} has no column {column}; it has {', '.join(schema.names)}")
        table = self._read(name, [c for c in schema.names if c in wanted or c in equal])
        for column, value in equal.items():
            values = [value] if isinstance(value, str | int | float | None) else list(value)
            table = table.take(_places(table[column], values))
        return table.select(wanted)

    def rows(
        self, name: str, columns: Iterable[str], **equal: Value | Iterable[Value]
    ) -> Iterator[tuple[Any, ...]]:
        """The same as one tuple of plain values for each row; see `query`."""
        table = self.query(name, columns, **equal)
        return zip(*(column.to_pylist() for column in table.columns), strict=True)

    def _read(self, name: str, columns: list[str]) -> pa.Table:
        key = name, tuple(columns)
        if key not in self._tables:
            schema = pa.schema([TABLES[name].field(column) for column in columns])
            parts = [self._read_part(path, schema) for path in self._parts(name)]
            whole = [part for part in parts if part is not None]
            # Not `Schema.empty_table`, which loads pandas.
            nothing = pa.table([pa.nulls(0, field.type) for field in schema], schema=schema)
            self._tables[key] = pa.concat_tables([nothing, *whole])
        return self._tables[key]

    def _parts(self, name: str) -> list[Path]:
        return sorted((self.folder / name).glob(PARTS))

    def _read_part(self, path: Path, schema: pa.Schema) -> pa.Table | None:
        try:
            with pq.ParquetFile(path) as file:
                written = file.schema_arrow
                version = (written.metadata or {}).get(VERSION_KEY, b"").decode()
                keys = NEEDED[path.parent.name]
                wanted = dict.fromkeys([*schema.names, *keys])
                found = [column for column in wanted if column in written.names]
                table = file.read(columns=found)
            table = self._with_keys(table, keys, path.parent.name)
            arrays = [
                table[field.name].cast(field.type)
                if field.name in found
                else pa.nulls(table.num_rows, field.type)
                for field in schema
            ]
        except (pa.ArrowException, OSError) as error:
            reason = str(error).partition("\n")[0]
            self._note(f"{path.parent.name}/{path.name}: left out, it cannot be read ({reason})")
            return None
        if version != VERSION:
            self._note(f"{path.parent.name}: of another version of p2o; some columns may be empty")
        return pa.table(arrays, schema=schema)

    def _with_keys(self, table: pa.Table, keys: Iterable[str], name: str) -> pa.Table:
        """The rows that have all keys."""
        missing = [key for key in keys if key not in table.column_names]
        if missing:
            self._note(f"{name}: {table.num_rows} rows left out, without {', '.join(missing)}")
            return table.slice(0, 0)
        columns = [table[key] for key in keys if table[key].null_count]
        if not columns:
            return table
        rows = enumerate(zip(*(column.to_pylist() for column in columns), strict=True))
        kept = array("q", (row for row, values in rows if None not in values))
        self._note(f"{name}: {table.num_rows - len(kept)} rows left out, which lack a key")
        return table.take(_indices(kept))

    def _note(self, line: str) -> None:
        if line not in self.notes:
            self.notes.append(line)


def _places(column: pa.ChunkedArray, values: Iterable[Value]) -> pa.Array:
    """Where one of the values is."""
    wanted = list(values)
    return _indices(
        array("q", (i for i, value in enumerate(column.to_pylist()) if value in wanted))
    )


def _indices(found: "array[int]") -> pa.Array:
    # Arrow loads pandas, which takes long, to look at any list or plain value that it is given.
    return pa.Array.from_buffers(pa.int64(), len(found), [None, pa.py_buffer(found)])


def read(run: str | Path) -> Records:
    """The records of a run.

    Args:
        run: Its folder. One without records gives empty tables.

    Raises:
        UserError: There is no such folder.
    """
    folder = Path(run)
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; give the run directory of p2o-train")
    return Records(folder / FOLDER)
