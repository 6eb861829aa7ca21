"""Rows of a file, a folder or a hub data set, and how a row becomes a prompt."""

import logging
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from p2o.constraints import Share
from p2o.data.cells import NotText, cell_text, fields, fill, look_up, plain
from p2o.data.duplicates import warn_of_contradictions
from p2o.data.files import NOT_JSON, READERS, Row, files_of, parse_json, read_file
from p2o.data.hub import read_hub
from p2o.data.rejected import Rejected, leave_out
from p2o.data.splits import refuse_other_splits
from p2o.errors import UserError
from p2o.prompt import Prompt, as_text

logger = logging.getLogger(__name__)

ROW = "row"
"""In what is kept of a row, its number in the file."""


@dataclass(frozen=True)
class Table:
    """Where rows come from, and which columns make a prompt.

    Attributes:
        path: A ``.json``, ``.jsonl``, ``.parquet`` or ``.csv`` file, a folder of such files, or the
            id of a hub data set.
        question: Text of the user message with columns in braces, such as ``{Body} {Question}``;
            ``{q.text}`` is inside of a column. Without braces it is the name of one.
        answer: Name of the column with the gold answer. Of a list, any one is right.
        messages: Name of a column with a whole conversation, in place of `question`: a list of
            ``{role, content}`` whose last message is the user's.
        answer_pattern: Regular expression whose first group is the gold answer in that column.
        tolerance: Name of a column with the absolute error that is still right, for verifiers.
        keep: Names of columns that reports may want.
        solution: Name of the column with a reference solution, for hints; see docs/hints.md.
        solution_pattern: Regular expression for that column; what its first groups match, joined,
            is the solution. None takes the column as it is.
        name: Configuration of a hub data set.
        split: Split of a hub data set. A folder is read whole, so one with files whose names say
            other splits is refused.
        root: Folder with local copies of hub data sets.
        file: Where in `root` the copy of this one is, a file or a folder.
        rename: New names of columns, for rows that have no column of the new name.
        max_rejected_share: Of rows that cannot be used; more of them is an error.
    """

    path: str
    question: str | None = None
    answer: str = "answer"
    messages: str | None = None
    answer_pattern: str | None = None
    tolerance: str | None = None
    keep: Sequence[str] = ()
    solution: str | None = None
    solution_pattern: str | None = None
    name: str | None = None
    split: str = "train"
    root: str | None = None
    file: str | None = None
    rename: Mapping[str, str] = field(default_factory=dict)
    max_rejected_share: Share = 0.05

    def __post_init__(self) -> None:
        if (self.question is None) == (self.messages is None):
            raise UserError("give question or messages, and not both")
        if ROW in self.keep:
            raise UserError(f"keep={ROW}: this is the number of a row; rename the column")
        try:
            fields(self._question)
        except ValueError as error:
            raise UserError(
                f"question={self.question!r}: {error}; write columns in braces"
            ) from error
        _check_pattern("answer_pattern", self.answer_pattern, "answer")
        _check_pattern("solution_pattern", self.solution_pattern, "solution")

    def prompts(self) -> list[Prompt]:
        """All usable rows, each content once, in their order.

        Raises:
            UserError: There are none, or too many rows cannot be used; ten of them are named.
        """
        prompts, rejected = self.read()
        leave_out(
            rejected,
            len(prompts) + len(rejected),
            self.max_rejected_share,
            f"rows of {self.location} that cannot be used",
            "max_rejected_share",
        )
        unique = list({prompt.id: prompt for prompt in prompts}.values())
        if len(unique) < len(prompts):
            logger.warning(
                "%s: %d rows are there more than once and count once",
                self.location,
                len(prompts) - len(unique),
            )
        warn_of_contradictions(self.location, unique)
        return unique

    def check_there(self) -> None:
        """Refuse files that are not there or of another split, without reading any.

        Raises:
            UserError: Names the path.
        """
        if self.root is not None and self.file is not None and not Path(self.root).is_dir():
            raise UserError(f"root={self.root}: no such folder (looked from {Path.cwd()})")
        path = self._local()
        if path is not None:
            self._check_files(path)

    @property
    def is_here(self) -> bool:
        """Whether rows are read from this machine, and nothing has to be fetched."""
        local = self._local()
        return local is not None and local.exists()

    def read(self) -> tuple[list[Prompt], list[Rejected]]:
        """Prompts of usable rows, and which rows are none.

        Raises:
            UserError: The data cannot be had, are empty, or a column is not there.
        """
        rows = [_renamed(row, self.rename) for row in self._rows()]
        if not rows:
            raise UserError(f"path={self.location}: there are no rows in it")
        self._check_columns(rows)
        prompts: list[Prompt] = []
        rejected: list[Rejected] = []
        for index, row in enumerate(rows):
            made = self._prompt(index, row)
            if isinstance(made, Prompt):
                prompts.append(made)
            else:
                rejected.append(Rejected(f"row {index}", made))
        return prompts, rejected

    @property
    def _question(self) -> str:
        """The text with columns in braces."""
        question = self.question or ""
        return question if not question or set("{}") & set(question) else f"{{{question}}}"

    @property
    def location(self) -> str:
        """The local copy when there is one, else `path`."""
        copy = self._copy()
        return str(copy) if copy is not None and copy.exists() else self.path

    def _copy(self) -> Path | None:
        return None if self.root is None or self.file is None else Path(self.root) / self.file

    def _local(self) -> Path | None:
        """Where the rows are on this machine; None of a hub data set."""
        copy, path = self._copy(), Path(self.path)
        if copy is not None and copy.exists():
            return copy
        return path if path.suffix in READERS or path.is_dir() else None

    def _rows(self) -> Sequence[Row]:
        path = self._local()
        if path is not None:
            self._check_files(path)
            return read_file(path)
        try:
            return read_hub(self.path, self.name, self.split)
        except UserError as error:
            if self.file is None:
                raise
            copy = self._copy()
            way = f"root=FOLDER with FOLDER/{self.file}" if copy is None else f"put it at {copy}"
            raise UserError(f"{error}, or {way}") from error

    def _check_files(self, path: Path) -> None:
        files = files_of(path)
        # Who gives one file means it, whatever it is called.
        if path.is_dir():
            refuse_other_splits(path, files, self.split)

    def _columns(self) -> list[tuple[str, str]]:
        """Keys of this class, and the columns that they name."""
        named = [("question", field) for field in fields(self._question)]
        single = ("answer", "messages", "tolerance", "solution")
        named += [(key, getattr(self, key)) for key in single if getattr(self, key) is not None]
        return named + [("keep", column) for column in self.keep]

    def _check_columns(self, rows: Sequence[Row]) -> None:
        for key, column in self._columns():
            if not any(_has(row, column) for row in rows):
                there = {str(name) for row in rows for name in row if name is not None}
                raise UserError(
                    f"{key}: no column '{column}' in {self.location}; "
                    f"it has {', '.join(sorted(there))}"
                )

    def _prompt(self, index: int, row: Row) -> Prompt | str:
        """A prompt, or why the row is none."""
        if None in row:
            return f"has {len(row[None])} more cells than there are columns"
        for key, column in self._columns():
            needed = key in ("question", "answer", "messages", "solution")
            if needed and (not _has(row, column) or look_up(row, column) in (None, "", [])):
                return f"no '{column}'"
        try:
            golds = self._golds(row)
            conversation = self._conversation(row)
            tolerance = self._tolerance(row)
            solution = self._solution(row)
        except _Unusable as error:
            return str(error)
        meta = {column: plain(_cell(row, column)) for column in self.keep} | solution | tolerance
        return Prompt.create(conversation, golds[0], golds[1:], **meta, **{ROW: index})

    def _golds(self, row: Row) -> list[str]:
        cell = look_up(row, self.answer)
        golds = []
        for value in cell if isinstance(cell, list | tuple) else [cell]:
            try:
                text = cell_text(value)
            except NotText as error:
                within = "holds" if isinstance(cell, list | tuple) else "is"
                raise _Unusable(f"'{self.answer}' {within} {error}") from error
            gold = self._gold(text) if value is not None else ""
            if gold is None:
                raise _Unusable(f"{text[-60:]!r} does not match {self.answer_pattern}")
            golds += [gold] * bool(gold)
        if not golds:
            raise _Unusable(f"'{self.answer}' is empty")
        return golds

    def _gold(self, text: str) -> str | None:
        if self.answer_pattern is None:
            return text.strip()
        match = re.search(self.answer_pattern, text)
        return match and (match.group(1) or "").strip()

    def _conversation(self, row: Row) -> list[dict[str, str]]:
        if self.messages is not None:
            return _read_conversation(self.messages, look_up(row, self.messages))
        try:
            text = fill(self._question, row)
        except NotText as error:
            raise _Unusable(str(error)) from error
        except (ValueError, TypeError) as error:
            raise _Unusable(f"the question cannot be made ({error})") from error
        if not text.strip():
            raise _Unusable("the question is empty")
        return [{"role": "user", "content": text}]

    def _solution(self, row: Row) -> dict[str, str]:
        if self.solution is None:
            return {}
        try:
            text = cell_text(look_up(row, self.solution))
        except NotText as error:
            raise _Unusable(f"'{self.solution}' is {error}") from error
        if self.solution_pattern is not None:
            found = re.finditer(self.solution_pattern, text)
            text = "".join(match.group(1) or "" for match in found)
        # Hints that show solutions say at the start which row has none.
        return {"solution": text.strip()} if text.strip() else {}

    def _tolerance(self, row: Row) -> dict[str, float]:
        cell = None if self.tolerance is None else _cell(row, self.tolerance)
        if cell in (None, ""):
            return {}
        try:
            number = float(cell)
        except (TypeError, ValueError, OverflowError):
            number = math.nan
        if not 0 <= number < math.inf:
            raise _Unusable(f"'{self.tolerance}' is no number")
        return {"tolerance": number}


def _check_pattern(key: str, pattern: str | None, what: str) -> None:
    """Refuse a regular expression that is none, or finds nothing."""
    try:
        groups = re.compile(pattern or "()").groups
    except re.error as error:
        raise UserError(f"{key}={pattern!r}: {error}") from error
    if groups == 0:
        raise UserError(f"{key}={pattern!r}: it has no group; put parentheses around the {what}")


class _Unusable(Exception):
    """Says why a row is no prompt."""


def _has(row: Row, name: str) -> bool:
    try:
        look_up(row, name)
    except LookupError:
        return False
    return True


def _cell(row: Row, name: str) -> Any:
    return look_up(row, name) if _has(row, name) else None


def _renamed(row: Row, names: Mapping[str, str]) -> Row:
    return {names[k] if names.get(k, k) not in row else k: value for k, value in row.items()}


def _read_conversation(column: str, value: Any) -> list[dict[str, str]]:
    """A column's conversation, there as a list or as its JSON."""
    wrong = f"'{column}' is no conversation that ends with the user"
    try:
        value = parse_json(value) if isinstance(value, str) else value
        messages = [{"role": m["role"], "content": as_text(m["content"])} for m in value]
    except UserError as error:
        raise _Unusable(f"'{column}': {error}") from error
    except (TypeError, KeyError, *NOT_JSON) as error:
        raise _Unusable(wrong) from error
    texts = all(isinstance(message["role"], str) for message in messages)
    if not messages or not texts or messages[-1]["role"] != "user":
        raise _Unusable(wrong)
    return messages
