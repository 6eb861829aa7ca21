"""All that a report tells of one run, computed once."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

from p2o.records import Records, read
from p2o.records.epochs import epoch_rows
from p2o.records.lives import Life, follow
from p2o.report.hints import (
    HintNode,
    HintUse,
    hint_nodes,
    hint_use,
    read_exchanges,
    rejected_nodes,
)
from p2o.report.intervals import Curve
from p2o.report.problems import Story, TwoByTwo, river, stories, two_by_two
from p2o.report.rollouts import Columns, ScoredTokens, in_order, scored_tokens
from p2o.report.runs import Run
from p2o.report.searches import Search
from p2o.report.spending import accuracy_curves, cost


@dataclass(frozen=True, eq=False)
class RunStory:
    """A run with what follows from it.

    Attributes:
        run: What its directory holds.
        records: Its records, which may be empty.
    """

    run: Run
    records: Records = field(repr=False)

    @cached_property
    def rollouts(self) -> Columns | None:
        """Its rollouts in order; None where none are on record."""
        table = self.records.rollouts()
        return in_order(table.to_pydict()) if table.num_rows else None

    @cached_property
    def problems(self) -> dict[str, Mapping[str, Any]]:
        """Question, gold answer, split and source by id of the problem."""
        return {row["problem"]: row for row in self.records.problems().to_pylist()}

    @cached_property
    def train_problems(self) -> set[str]:
        """Ids of what was trained on, whether or not its rollouts are on record."""
        known = {
            problem for (problem,) in self.records.rows("problems", ["problem"], split="train")
        }
        return known or {life["problem"] for life in self.lives}

    @cached_property
    def held_out_problems(self) -> set[str]:
        """Ids of what accuracy was measured on; none where that is not on record."""
        rows = self.records.rows("problems", ["problem"], split="held_out")
        return {problem for (problem,) in rows}

    @cached_property
    def hint_texts(self) -> dict[str, str]:
        """Texts of hints by id: those of the records and of the pools."""
        pools = {node.hint: node.text for node in self.nodes}
        return {**pools, **self.records.texts()}

    @cached_property
    def lives(self) -> list[dict[str, Any]]:
        """What became of each training problem; see `p2o.records.lives`."""
        return [asdict(life) for life in self._followed[0]]

    @cached_property
    def stories(self) -> dict[str, Story]:
        """The rollouts that tell it, by problem."""
        return stories(self.rollouts, self.lives, self.tokens) if self.rollouts else {}

    @cached_property
    def tokens(self) -> dict[int, ScoredTokens]:
        """Rollouts whose tokens were compared with and without a hint, by row number."""
        table = self.records.tokens().to_pydict()
        return scored_tokens(self.rollouts, table) if self.rollouts else {}

    @cached_property
    def river(self) -> list[dict[str, int]]:
        """Problems in each state, by epoch."""
        return river(self._followed[1])

    @cached_property
    def epochs(self) -> list[dict[str, Any]]:
        """What each epoch came to; see `p2o.records.epochs`."""
        return epoch_rows(self.records) if self.rollouts else []

    @cached_property
    def _followed(self) -> tuple[list[Life], list[tuple[int, str, str]]]:
        return follow(self.records) if self.rollouts else ([], [])

    @cached_property
    def two_by_two(self) -> TwoByTwo | None:
        """Weights against hints, where that can be told."""
        return two_by_two(self.rollouts) if self.rollouts else None

    @cached_property
    def nodes(self) -> list[HintNode]:
        """The templates of each pool that differs from the one before."""
        return hint_nodes(self.run, read_exchanges(*self._search_tables), self.searched)

    @cached_property
    def searched(self) -> set[Search]:
        """The searches on record; a pool may also be made of what training has shown."""
        candidates, _ = self._search_tables
        return set(map(Search, candidates["epoch"], candidates["step"]))

    @cached_property
    def rejected(self) -> list[HintNode]:
        """What searches have asked for and not kept."""
        return rejected_nodes(self.nodes, *self._search_tables, self.records.texts())

    @cached_property
    def _search_tables(self) -> tuple[Columns, Columns]:
        """Candidates and exchanges."""
        tables = self.records.candidates(), self.records.exchanges()
        return tables[0].to_pydict(), tables[1].to_pydict()

    @cached_property
    def hint_use(self) -> dict[str, HintUse]:
        """What came of each hint, by its id."""
        return hint_use(self.rollouts, self.stories) if self.rollouts else {}

    @cached_property
    def curves(self) -> dict[str, Curve]:
        """Held-out accuracy over what was spent."""
        return accuracy_curves(self.run, self.rollouts)

    @cached_property
    def cost(self) -> list[dict[str, Any]]:
        """What was spent, by counter and phase."""
        return cost([self.run])

    @property
    def notes(self) -> Sequence[str]:
        """What is missing, a sentence each."""
        notes = list(self.run.notes)
        if self.rollouts is None:
            notes.append(
                "There are no records of rollouts, so problems cannot be followed one by one."
            )
        return [*notes, *(f"records/{note}" for note in self.records.notes)]


def tell(run: Run) -> RunStory:
    """Open the records of a run beside it."""
    return RunStory(run, read(run.folder))
