"""Rows of a file, a folder or a hub data set, and how a row becomes a prompt."""

import json
import logging
import re
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from p2o.data.prompt import Prompt
from p2o.data.rejected import Rejected, leave_out
from p2o.data.rows import read_file, read_hub
from p2o.errors import UserError
from p2o.hints import Share

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Table:
    """Where rows come from, and which columns make a prompt.

    Attributes:
        path: A ``.json``, ``.jsonl``, ``.parquet`` or ``.csv`` file, a folder of such files, or the
            id of a hub data set.
        question: Text of the user message with columns in braces, such as ``{Body} {Question}``.
        answer: Name of the column with the gold answer. Of a list, any one is right.
        messages: Name of a column with a whole conversation, in place of `question`: a list of
            ``{role, content}`` whose last message is the user's.
        answer_pattern: Regular expression whose first group is the gold answer in that column.
        tolerance: Name of a column with the absolute error that is still right, for verifiers.
        keep: Names of columns that reports may want.
        name: Configuration of a hub data set.
        split: Split of a hub data set.
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
    name: str | None = None
    split: str = "train"
    root: str | None = None
    file: str | None = None
    rename: Mapping[str, str] = field(default_factory=dict)
    max_rejected_share: Share = 0.05

    def __post_init__(self) -> None:
        if (self.question is None) == (self.messages is None):
            raise UserError("give question or messages, and not both")
        try:
            _fields(self.question or "")
        except ValueError as error:
            raise UserError(
                f"question={self.question!r}: {error}; write columns in braces"
            ) from error
        try:
            groups = re.compile(self.answer_pattern or "()").groups
        except re.error as error:
            raise UserError(f"answer_pattern={self.answer_pattern!r}: {error}") from error
        if groups == 0:
            raise UserError(
                f"answer_pattern={self.answer_pattern!r}: it has no group; put "
                "parentheses around the answer"
            )

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
        _warn_of_contradictions(self.location, unique)
        return unique

    def read(self) -> tuple[list[Prompt], list[Rejected]]:
        """Prompts of usable rows, and which rows are none.

        Raises:
            UserError: The data cannot be had, are empty, or a column is not there.
        """
        rows = [_renamed(row, self.rename) for row in self._rows()]
        if not rows:
            raise UserError(f"path={self.location}: there are no rows in it")
        self._check_columns(rows[0])
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
    def location(self) -> str:
        """The local copy when there is one, else `path`."""
        copy = self._copy()
        return str(copy) if copy is not None and copy.exists() else self.path

    def _copy(self) -> Path | None:
        return None if self.root is None or self.file is None else Path(self.root) / self.file

    def _rows(self) -> Sequence[Mapping[str, Any]]:
        copy = self._copy()
        if copy is not None and copy.exists():
            return read_file(copy)
        path = Path(self.path)
        if path.suffix in (".json", ".jsonl", ".parquet", ".csv") or path.is_dir():
            return read_file(path)
        try:
            return read_hub(self.path, self.name, self.split)
        except UserError as error:
            if self.file is None:
                raise
            way = (
                f"data_root=FOLDER with FOLDER/{self.file}" if copy is None else f"put it at {copy}"
            )
            raise UserError(f"{error}, or {way}") from error

    def _columns(self) -> list[tuple[str, str]]:
        """Keys of this class, and the columns that they name."""
        named = [("question", field) for field in _fields(self.question or "")]
        single = ("answer", "messages", "tolerance")
        named += [(key, getattr(self, key)) for key in single if getattr(self, key) is not None]
        return named + [("keep", column) for column in self.keep]

    def _check_columns(self, row: Mapping[str, Any]) -> None:
        for key, column in self._columns():
            if column not in row:
                raise UserError(
                    f"{key}: no column '{column}' in {self.location}; "
                    f"it has {', '.join(sorted(row))}"
                )

    def _prompt(self, index: int, row: Mapping[str, Any]) -> Prompt | str:
        """A prompt, or why the row is none."""
        for key, column in self._columns():
            if key in ("question", "answer", "messages") and row.get(column) in (None, "", []):
                return f"no '{column}'"
        golds = []
        for value in _as_list(row[self.answer]):
            gold = self._gold(str(value))
            if gold is None:
                return f"{str(value)[-60:]!r} does not match {self.answer_pattern}"
            if gold:
                golds.append(gold)
        if not golds:
            return f"'{self.answer}' is empty"
        conversation = self._conversation(row)
        if conversation is None:
            return f"'{self.messages}' is no conversation that ends with the user"
        meta = {column: row.get(column) for column in self.keep}
        if self.tolerance is not None and row.get(self.tolerance) not in (None, ""):
            try:
                meta["tolerance"] = float(row[self.tolerance])
            except (TypeError, ValueError):
                return f"'{self.tolerance}' is no number"
        return Prompt.create(conversation, golds[0], golds[1:], **meta, row=index)

    def _gold(self, text: str) -> str | None:
        if self.answer_pattern is None:
            return text.strip()
        match = re.search(self.answer_pattern, text)
        return match and match.group(1).strip()

    def _conversation(self, row: Mapping[str, Any]) -> list[dict[str, str]] | None:
        if self.messages is None:
            fields = {field: row[field] for field in _fields(self.question or "")}
            return [{"role": "user", "content": str(self.question).format(**fields)}]
        return _read_conversation(row[self.messages])


def _renamed(row: Mapping[str, Any], names: Mapping[str, str]) -> Mapping[str, Any]:
    return {names[k] if names.get(k, k) not in row else k: value for k, value in row.items()}


def _as_list(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list | tuple) else [value]


def _read_conversation(value: Any) -> list[dict[str, str]] | None:
    """A column's conversation, there as a list or as its JSON; None when it is none."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except json.JSONDecodeError:
            return None
    try:
        messages = [{"role": str(m["role"]), "content": str(m["content"])} for m in value]
    except (TypeError, KeyError):
        return None
    return messages if messages and messages[-1]["role"] == "user" else None


def _fields(text: str) -> list[str]:
    """Columns that a text names in braces."""
    return [field for _, field, _, _ in string.Formatter().parse(text) if field is not None]


def _warn_of_contradictions(location: str, prompts: Sequence[Prompt]) -> None:
    golds: dict[str, set[str]] = {}
    for prompt in prompts:
        golds.setdefault(prompt.question, set()).add(prompt.gold)
    contradicted = [question for question, answers in golds.items() if len(answers) > 1]
    if contradicted:
        logger.warning(
            "%s: %d questions have different answers in different rows, the first is %.60r",
            location,
            len(contradicted),
            contradicted[0],
        )
