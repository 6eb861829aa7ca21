"""Where prompts come from: the embedded world, local files, or the hub."""

import random
import re
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

from p2o.data.prompt import Prompt
from p2o.errors import UserError
from p2o.seeds import derive_seed
from p2o.world.problems import FAMILIES, LONG, SHORT, distinct_problems


@dataclass(frozen=True)
class Split:
    """Training and held-out prompts, disjoint."""

    train: list[Prompt]
    held_out: list[Prompt]


class PromptSource(Protocol):
    """Makes prompts."""

    def load(self, seed: int) -> Split:
        """The prompts of a run.

        Raises:
            UserError: They cannot be had; the message names the key, column or row.
        """
        ...


@dataclass(frozen=True)
class DigitLists:
    """Problems of the embedded world: lists that the policy solves at once, and long ones.

    Attributes:
        train: Training problems.
        held_out: Held-out problems.
        short_share: Share of lists of two or three digits; the others have five to eight.
    """

    train: int = 128
    held_out: int = 200
    short_share: float = 0.25

    def __post_init__(self) -> None:
        _check_sizes(self.train, self.held_out)
        if not 0 <= self.short_share <= 1:
            raise UserError(f"data.source.short_share={self.short_share}: give a share from 0 to 1")
        existing = len(FAMILIES) * sum(10**length for length in SHORT)
        if self._short(self.train) + self._short(self.held_out) > existing:
            raise UserError(
                f"data.source.short_share={self.short_share}: of train={self.train} and held_out="
                f"{self.held_out} that is more than the {existing} short lists there are; lower it"
            )

    def load(self, seed: int) -> Split:
        """See `PromptSource.load`. The held-out problems are the same for every seed."""
        held_out = self._draw("held out", self.held_out, set())
        ids = {prompt.id for prompt in held_out}
        return Split(self._draw(f"train/{seed}", self.train, ids), held_out)

    def _draw(self, name: str, count: int, excluded: set[str]) -> list[Prompt]:
        short = self._short(count)
        prompts: list[Prompt] = []
        for lengths, number in ((SHORT, short), (LONG, count - short)):
            problems = (
                Prompt.create(
                    [{"role": "user", "content": problem.question}],
                    str(problem.answer),
                    family=problem.family,
                    length=len(problem.digits),
                )
                for problem in distinct_problems(derive_seed(name, lengths.start), lengths)
            )
            prompts += islice((p for p in problems if p.id not in excluded), number)
        return prompts

    def _short(self, count: int) -> int:
        return round(count * self.short_share)


@dataclass(frozen=True)
class TableSource:
    """Rows of a local file or a hub data set, read with ``datasets``.

    Attributes:
        path: A ``.json``, ``.jsonl``, ``.parquet`` or ``.csv`` file, or the id of a hub data set.
        question: Text of the user message with columns in braces, such as ``{Body} {Question}``.
        answer: Name of the column with the gold answer.
        answer_pattern: Regular expression whose first group is the gold answer in that column.
        name: Configuration of a hub data set.
        split: Split of a hub data set.
        train: Training rows; None takes all that are not held out.
        held_out: Held-out rows, drawn first.
    """

    path: str
    question: str
    answer: str
    answer_pattern: str | None = None
    name: str | None = None
    split: str = "train"
    train: int | None = None
    held_out: int = 100

    def __post_init__(self) -> None:
        _check_sizes(self.train, self.held_out)
        try:
            self._columns()
        except ValueError as error:
            raise UserError(
                f"data.source.question={self.question!r}: {error}; write columns in braces"
            ) from error
        try:
            groups = re.compile(self.answer_pattern or "()").groups
        except re.error as error:
            raise UserError(
                f"data.source.answer_pattern={self.answer_pattern!r}: {error}"
            ) from error
        if groups == 0:
            raise UserError(
                f"data.source.answer_pattern={self.answer_pattern!r}: it has no group; put "
                "parentheses around the answer"
            )

    def load(self, seed: int) -> Split:
        """See `PromptSource.load`. The held-out rows are the same for every seed and row order."""
        rows = self._rows()
        if not rows:
            raise UserError(f"data.source.path={self.path}: there are no rows in it")
        prompts = list({p.id: p for p in map(self._prompt, range(len(rows)), rows)}.values())
        needed = self.held_out + (1 if self.train is None else self.train)
        if len(prompts) < needed:
            raise UserError(
                f"data.source: {len(prompts)} distinct rows in {self.path}, but held_out="
                f"{self.held_out} and train={self.train} need {needed}; lower one of them"
            )
        # Ids are hashes, so their order is as good as random.
        prompts.sort(key=lambda prompt: prompt.id)
        held_out, rest = prompts[: self.held_out], prompts[self.held_out :]
        random.Random(derive_seed(seed, "train")).shuffle(rest)
        return Split(rest[: self.train], held_out)

    def _rows(self) -> Sequence[Mapping[str, Any]]:
        import datasets
        from datasets.exceptions import DatasetGenerationError

        suffix = Path(self.path).suffix.lstrip(".")
        formats = {"json": "json", "jsonl": "json", "parquet": "parquet", "csv": "csv"}
        if suffix in formats:
            if not Path(self.path).is_file():
                raise UserError(
                    f"data.source.path={self.path}: no such file (looked from {Path.cwd()})"
                )
            if Path(self.path).stat().st_size == 0:
                raise UserError(f"data.source.path={self.path}: the file is empty")
            try:
                builder: Any = datasets.load_dataset_builder(formats[suffix], data_files=self.path)
                builder.download_and_prepare()
                # A data set without rows cannot be made.
                if not builder.info.splits["train"].num_examples:
                    return []
                return builder.as_dataset(split="train").to_list()
            except (DatasetGenerationError, ValueError) as error:
                raise UserError(
                    f"data.source.path={self.path}: cannot be read as {formats[suffix]} "
                    f"({error.__cause__ or error})"
                ) from error
        try:
            return datasets.load_dataset(self.path, self.name, split=self.split).to_list()
        except (OSError, DatasetGenerationError, ValueError) as error:
            raise UserError(
                f"data.source.path={self.path}: no file, and not to be had from the hub "
                f"({str(error).splitlines()[0]}); give a local .json, .jsonl, .parquet or .csv file"
            ) from error

    def _prompt(self, index: int, row: Mapping[str, Any]) -> Prompt:
        wanted = self._columns()
        for key, column in [*(("question", field) for field in wanted), ("answer", self.answer)]:
            if column not in row:
                raise UserError(
                    f"data.source.{key}: no column '{column}' in {self.path}; "
                    f"it has {', '.join(sorted(row))}"
                )
            if row[column] is None:
                raise UserError(f"data.source: row {index} of {self.path} has no '{column}'")
        gold = str(row[self.answer])
        if self.answer_pattern is not None:
            match = re.search(self.answer_pattern, gold)
            if match is None:
                raise UserError(
                    f"data.source.answer_pattern: row {index} of {self.path} does not match "
                    f"'{self.answer_pattern}': {gold[-80:]!r}"
                )
            gold = match.group(1).strip()
        text = self.question.format(**{field: row[field] for field in wanted})
        return Prompt.create([{"role": "user", "content": text}], gold, row=index)

    def _columns(self) -> list[str]:
        """Columns that the question names."""
        parts = string.Formatter().parse(self.question)
        return [field for _, field, _, _ in parts if field is not None]


def _check_sizes(train: int | None, held_out: int) -> None:
    for name, size in (("train", train), ("held_out", held_out)):
        if size is not None and size < 1:
            raise UserError(f"data.source.{name}={size}: give at least 1")
