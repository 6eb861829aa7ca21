"""DeepMath as the paper takes it: hard problems, kinds of answers in balance."""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from p2o.data.sources import TableSource
from p2o.errors import UserError
from p2o.prompt import Prompt

Item = TypeVar("Item")

YES_NO = re.compile(r"(yes|no|true|false)\W*", re.IGNORECASE)
NUMBER = re.compile(r"[-+]?\$?\d[\d,]*(\.\d+)?|[-+]?\\[dt]?frac\{\d+\}\{\d+\}|[-+]?\d+/\d+")


@dataclass(frozen=True)
class DeepMath(TableSource):
    """Problems of at least some difficulty, with as many answers of one kind as of another.

    What can be guessed, yes or no, is kept rare.

    Attributes:
        difficulty: Name of the column with the difficulty.
        least_difficulty: Easier problems are left out; those without a number, too.
        yes_no_share: Highest share of yes or no among the answers.
    """

    difficulty: str = "difficulty"
    least_difficulty: float = 7.0
    yes_no_share: float = 0.05

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.difficulty not in self.keep:
            raise UserError(f"keep: has no {self.difficulty!r}, which difficulty names")
        if not 0 <= self.yes_no_share <= 1:
            raise UserError(f"yes_no_share={self.yes_no_share}: give 0 to 1")

    def arrange(self, prompts: Sequence[Prompt]) -> list[Prompt]:
        """See `TableSource.arrange`: any number of prompts from the front is in balance."""
        kinds: dict[str, list[Prompt]] = defaultdict(list)
        for prompt in prompts:
            if _number(prompt.meta[self.difficulty]) >= self.least_difficulty:
                kinds[answer_kind(prompt.gold)].append(prompt)
        return balanced(kinds, {"yes or no": self.yes_no_share})


def answer_kind(gold: str) -> str:
    r"""``yes or no``, ``number`` or ``expression``.

    Example::

        >>> [answer_kind(gold) for gold in ("Yes", "-12.5", "1/2", "x^2")]
        ['yes or no', 'number', 'number', 'expression']
    """
    text = gold.strip().strip("$").strip()
    if YES_NO.fullmatch(text):
        return "yes or no"
    return "number" if NUMBER.fullmatch(text) else "expression"


def balanced(groups: Mapping[str, Sequence[Item]], caps: Mapping[str, float]) -> list[Item]:
    """Items of all groups in turn: any number from the front is as even as it can be.

    Args:
        groups: Items by kind, in the order in which they are to be taken.
        caps: Highest share of a kind, also in any number from the front. What it leaves no room for
            is left out.
    """
    counts = dict.fromkeys(sorted(groups), 0)
    taken: list[Item] = []
    while True:
        open_kinds = [
            kind
            for kind, count in counts.items()
            if count < len(groups[kind]) and count + 1 <= caps.get(kind, 1.0) * (len(taken) + 1)
        ]
        if not open_kinds:
            return taken
        kind = min(open_kinds, key=counts.__getitem__)
        taken.append(groups[kind][counts[kind]])
        counts[kind] += 1


def _number(value: object) -> float:
    try:
        return float(str(value))
    except ValueError:
        return float("-inf")
