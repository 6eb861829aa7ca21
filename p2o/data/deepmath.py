"""DeepMath as the paper takes it: hard problems, kinds of answers in balance."""

import random
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from p2o.data.prompt import Prompt
from p2o.data.sources import TableSource
from p2o.seeds import derive_seed

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

    def choose(self, prompts: list[Prompt], seed: int) -> list[Prompt]:
        """See `TableSource.choose`."""
        hard = [p for p in prompts if _number(p.meta[self.difficulty]) >= self.least_difficulty]
        kinds: dict[str, list[Prompt]] = defaultdict(list)
        for prompt in sorted(hard, key=lambda prompt: prompt.id):
            kinds[answer_kind(prompt.gold)].append(prompt)
        drawn = seed if self.split_seed is None else self.split_seed
        for kind, group in kinds.items():
            random.Random(derive_seed(drawn, kind)).shuffle(group)
        wanted = len(hard) if self.train is None else self.train + self.held_out
        return balanced(kinds, wanted, {"yes or no": self.yes_no_share})


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


def balanced(
    groups: Mapping[str, Sequence[Item]], wanted: int, caps: Mapping[str, float]
) -> list[Item]:
    """Items of all groups, as evenly as they go, at most `wanted`.

    Args:
        groups: Items by kind, in the order in which they are to be taken.
        wanted: How many; fewer when there are no more.
        caps: Highest share of a kind among what is taken.
    """
    counts = dict.fromkeys(groups, 0)
    total = 0
    while total < wanted:
        open_kinds = [
            kind
            for kind, items in groups.items()
            if counts[kind] < len(items) and counts[kind] + 1 <= caps.get(kind, 1.0) * (total + 1)
        ]
        if not open_kinds:
            break
        counts[min(open_kinds, key=lambda kind: (counts[kind], kind))] += 1
        total += 1
    return [item for kind, items in groups.items() for item in items[: counts[kind]]]


def _number(value: object) -> float:
    try:
        return float(str(value))
    except ValueError:
        return float("-inf")
