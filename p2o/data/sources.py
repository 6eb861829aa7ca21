"""Where prompts come from: the embedded world, local files, or the hub."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Protocol, runtime_checkable

from p2o.constraints import Many
from p2o.data.digits import FAMILIES, LONG, SHORT, distinct_problems
from p2o.data.duplicates import asked
from p2o.data.table import Table
from p2o.errors import UserError, located
from p2o.prompt import Prompt
from p2o.running.seeds import derive_seed


@dataclass(frozen=True)
class Split:
    """Training and held-out prompts, disjoint."""

    train: list[Prompt]
    held_out: list[Prompt]


@runtime_checkable
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

    train: Many = 128
    held_out: Many = 200
    short_share: float = 0.25

    def __post_init__(self) -> None:
        _check_sizes(self.train, self.held_out)
        if not 0 <= self.short_share <= 1:
            raise UserError(f"short_share={self.short_share}: give a share from 0 to 1")
        existing = len(FAMILIES) * sum(10**length for length in SHORT)
        if self._short(self.train) + self._short(self.held_out) > existing:
            raise UserError(
                f"short_share={self.short_share}: of train={self.train} and held_out="
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
                    solution=problem.solution,
                )
                for problem in distinct_problems(derive_seed(name, lengths.start), lengths)
            )
            prompts += islice((p for p in problems if p.id not in excluded), number)
        return prompts

    def _short(self, count: int) -> int:
        return round(count * self.short_share)


@dataclass(frozen=True)
class TableSource(Table):
    """Training and held-out rows of one `Table`.

    Attributes:
        train: Training rows; None takes all that are not held out.
        held_out: Held-out rows, drawn first.
        split_seed: Draws the training rows; None for the run's seed. Of one seed fewer rows are
            always some of more rows. The held-out rows are the same for every seed and row order.
    """

    train: int | None = None
    held_out: int = 100
    split_seed: int | None = None

    def __post_init__(self) -> None:
        _check_sizes(self.train, self.held_out)
        super().__post_init__()

    def load(self, seed: int) -> Split:
        """See `PromptSource.load`."""
        # Ids are hashes, so their order is as good as random.
        prompts = sorted(self.prompts(), key=lambda prompt: prompt.id)
        held_out = self.arrange(prompts)[: self.held_out]
        # The same question with another answer would be known from training.
        known = set(map(asked, held_out))
        rest = [prompt for prompt in prompts if asked(prompt) not in known]
        drawn = seed if self.split_seed is None else self.split_seed
        random.Random(derive_seed(drawn, "train")).shuffle(rest)
        train = self.arrange(rest)
        wanted = 1 if self.train is None else self.train
        if len(held_out) < self.held_out or len(train) < wanted:
            raise UserError(
                f"{len(held_out) + len(train)} distinct rows in {self.location}, but "
                f"held_out={self.held_out} and train={self.train} need {self.held_out + wanted}; "
                "lower one of them"
            )
        return Split(train[: self.train], held_out)

    def arrange(self, prompts: Sequence[Prompt]) -> list[Prompt]:
        """Put prompts into the order in which they are taken; leave out what is not wanted.

        Args:
            prompts: In random order, which is the one to keep unless a subclass says otherwise.
        """
        return list(prompts)


@dataclass(frozen=True)
class HeldOut:
    """The held-out prompts of a source, as a table for evaluation.

    Attributes:
        source: Where they come from.
        seed: For sources whose held-out prompts depend on it.
    """

    source: PromptSource
    seed: int = 0

    def prompts(self) -> list[Prompt]:
        """All of them."""
        with located("source"):
            return self.source.load(self.seed).held_out


def _check_sizes(train: int | None, held_out: int) -> None:
    for name, size in (("train", train), ("held_out", held_out)):
        if size is not None and size < 1:
            raise UserError(f"{name}={size}: give at least 1")
