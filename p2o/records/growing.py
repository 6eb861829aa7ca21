"""The tables of a run that is under way: rows come in, parts go to the disk, a kill loses nothing.

Rows belong to work: a batch of rollouts, a search, an evaluation. A run that is stopped does again
what it had not finished. So rows count from when their work is settled, a checkpoint says how many
parts that makes, and what is ahead of it is dropped when the run goes on.
"""

from collections.abc import Mapping
from pathlib import Path

from p2o.records.reading import Records
from p2o.records.schema import TABLES, Rows
from p2o.records.writing import drop_parts, write_part

LARGEST = 1024
"""Rows that are held until they are written."""
KEYS = {"hints": "hint", "problems": "problem"}
"""Tables in which no row comes twice, and the column by which it is known."""


class GrowingTable:
    """One table.

    Args:
        folder: Of its parts.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.parts = self.settled = 0
        self._rows: list[Mapping[str, object]] = []
        # Of the rows that are held, the first so many are settled.
        self._settled_rows = 0

    def begin(self, parts: int) -> None:
        """Go on behind so many parts; others are dropped."""
        self.parts = self.settled = parts
        self._rows, self._settled_rows = [], 0
        drop_parts(self.folder, parts)

    def add(self, rows: Rows) -> None:
        """Take rows of work that is under way."""
        self._rows += rows
        if len(self._rows) >= LARGEST:
            self.write_settled()
            self._write(len(self._rows))

    def put(self, number: int, rows: Rows) -> None:
        """Write the part of a number at once, in place of an earlier one."""
        write_part(self.folder, number, rows)
        self.parts = max(self.parts, number + 1)

    def settle(self) -> None:
        """The work of all rows so far counts."""
        self.settled, self._settled_rows = self.parts, len(self._rows)

    def write_settled(self) -> None:
        """Write the rows that count."""
        if self._settled_rows:
            self._write(self._settled_rows)
            self.settled, self._settled_rows = self.parts, 0

    def _write(self, count: int) -> None:
        if count:
            write_part(self.folder, self.parts, self._rows[:count])
            self.parts += 1
            del self._rows[:count]


class GrowingRecords:
    """All tables of a run.

    Args:
        folder: ``RUN/records``.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._tables = {name: GrowingTable(folder / name) for name in TABLES}
        self._known: dict[str, set[object]] = {name: set() for name in KEYS}
        self._begun = False

    def add(self, name: str, rows: Rows) -> None:
        """Take rows of work that is under way; of tables in `KEYS` those that are new."""
        self._begin_once()
        if name in KEYS:
            rows = self._new(name, rows)
        self._tables[name].add(rows)

    def put(self, name: str, number: int, rows: Rows) -> None:
        """See `GrowingTable.put`."""
        self._begin_once()
        self._tables[name].put(number, rows)

    def settle(self) -> None:
        """The work of all rows so far counts."""
        for table in self._tables.values():
            table.settle()

    def write_settled(self) -> None:
        """Write the rows that count."""
        for table in self._tables.values():
            table.write_settled()

    def state_dict(self) -> dict[str, int]:
        """How many parts of each table count, all of which are on the disk."""
        self.write_settled()
        return {name: table.settled for name, table in self._tables.items()}

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Go on behind what `state_dict` told of; what is ahead is dropped."""
        self._begun = True
        for name, table in self._tables.items():
            table.begin(state.get(name, 0))
        written = Records(self.folder)
        for name, column in KEYS.items():
            self._known[name] = {key for (key,) in written.rows(name, [column])}

    def _begin_once(self) -> None:
        """A run that no checkpoint is known of begins anew, whatever an earlier one has left."""
        if not self._begun:
            self.load_state_dict({})

    def _new(self, name: str, rows: Rows) -> Rows:
        known, column = self._known[name], KEYS[name]
        new: list[Mapping[str, object]] = []
        for row in rows:
            if row[column] not in known:
                known.add(row[column])
                new.append(row)
        return new
