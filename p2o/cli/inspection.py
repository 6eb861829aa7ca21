"""What a run would train on: numbers, lengths, and prompts as the policy sees them."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence

from rich.table import Table

from p2o.data.contamination import Overlap, describe, worst_first
from p2o.data.deepmath import answer_kind
from p2o.data.sources import Split
from p2o.prompt import Prompt
from p2o.rollout.rendering import ChatRenderer
from p2o.running.terminal import Terminal

WIDTH = 80
TRAIN = "train"
"""Name of the group of all training prompts."""
SAMPLES = 3
"""Prompts that are shown whole."""
SHOWN = 10
"""Overlaps that are shown; a file holds all."""
BARS, BAR = 8, 30
"""Of the histogram: their number, and the length of the longest."""
SHARES = {"least": 0.0, "median": 0.5, "90 %": 0.9, "99 %": 0.99, "most": 1.0}


def print_inspection(split: Split, renderer: ChatRenderer, console: Terminal) -> None:
    """Show how many prompts there are, how long they are, and three of them.

    Args:
        split: The prompts of a run.
        renderer: Makes tokens of them.
        console: Where to.
    """
    groups = _groups(split)
    lengths, unknown = {}, 0
    for name, prompts in groups.items():
        lengths[name] = []
        for prompt in prompts:
            ids = renderer.render(prompt.messages)
            lengths[name].append(len(ids))
            unknown += name == TRAIN and renderer.tokenizer.unk_token_id in ids
    console.print(_length_table(lengths))
    console.print(_answer_table(groups))
    console.print(_histogram_table(lengths[TRAIN]))
    if unknown:
        console.print(
            f"{unknown:,} of {len(split.train):,} training prompts have words that the tokenizer "
            "does not know; the policy does not see them",
            style="bold",
        )
    for number, prompt in enumerate(split.train[:SAMPLES], 1):
        console.rule(f"training prompt {number}, id {prompt.id}", align="left")
        text = renderer.tokenizer.decode(renderer.render(prompt.messages))
        console.print(str(text), soft_wrap=True)
        console.print(f"right: {' or '.join(prompt.golds)}", soft_wrap=True, style="bold")


def _groups(split: Split) -> dict[str, Sequence[Prompt]]:
    """Training and held-out prompts, all and of each source."""
    groups: dict[str, Sequence[Prompt]] = {TRAIN: split.train, "held out": split.held_out}
    parts = dict(groups)
    for source in sorted({prompt.source for prompt in split.train} - {""}):
        for name, prompts in parts.items():
            own = [prompt for prompt in prompts if prompt.source == source]
            groups |= {f"{name}, {source}": own} if own else {}
    return groups


def print_overlaps(
    prompts: Sequence[Prompt],
    benchmarks: Mapping[str, Sequence[Prompt]],
    found: Sequence[Overlap],
    console: Terminal,
) -> None:
    """Show how many training prompts are in which benchmark, and the ten that are so most.

    Args:
        prompts: Of training.
        benchmarks: Questions by the name of their benchmark.
        found: What they have in common.
        console: Where to.
    """
    table = _table(
        f"{len(prompts):,} training questions in benchmarks",
        *("benchmark", "questions", "known exactly", "nearly", "training questions"),
    )
    for name, questions in benchmarks.items():
        here = [overlap for overlap in found if overlap.benchmark == name]
        exact = {overlap.question.id for overlap in here if overlap.exact}
        known = {overlap.question.id for overlap in here}
        rows = {overlap.prompt.id for overlap in here}
        counts = (len(questions), len(exact), len(known - exact), len(rows))
        table.add_row(name, *map(_number, counts))
    console.print(table)
    for overlap in worst_first(found)[:SHOWN]:
        console.print(describe(overlap), soft_wrap=True)


def quantile(values: Sequence[int], share: float) -> int:
    """The smallest value that at least this share of the values does not exceed.

    Example::

        >>> [quantile([3, 1, 2, 9], share) for share in (0.0, 0.5, 0.9, 1.0)]
        [1, 2, 9, 9]
    """
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def histogram(values: Sequence[int], bars: int = BARS) -> list[tuple[int, int, int]]:
    """Numbers of values in ranges of equal width: (first, last, how many).

    Example::

        >>> histogram([1, 2, 2, 9], bars=3)
        [(1, 3, 3), (4, 6, 0), (7, 9, 1)]
    """
    low, high = min(values), max(values)
    width = math.ceil((high - low + 1) / bars)
    counts = Counter((value - low) // width for value in values)
    return [
        (low + bar * width, low + (bar + 1) * width - 1, counts[bar])
        for bar in range((high - low) // width + 1)
    ]


def _length_table(lengths: Mapping[str, Sequence[int]]) -> Table:
    table = _table("Prompts and their lengths in tokens", "", "prompts", *SHARES)
    for name, values in lengths.items():
        quantiles = (_number(quantile(values, share)) for share in SHARES.values())
        table.add_row(name, _number(len(values)), *quantiles)
    return table


def _answer_table(groups: Mapping[str, Sequence[Prompt]]) -> Table:
    kinds = ("number", "expression", "yes or no")
    table = _table("Right answers", "", *kinds, "more than one")
    for name, prompts in groups.items():
        counts = Counter(answer_kind(prompt.gold) for prompt in prompts)
        several = sum(bool(prompt.alternatives) for prompt in prompts)
        table.add_row(name, *(_number(counts[kind]) for kind in kinds), _number(several))
    return table


def _histogram_table(lengths: Sequence[int]) -> Table:
    bars = histogram(lengths)
    longest = max(count for _, _, count in bars)
    table = _table("Lengths of training prompts", "tokens", "prompts")
    table.add_column("", width=BAR)
    for first, last, count in bars:
        bar = "█" * math.ceil(BAR * count / longest)
        table.add_row(f"{first:,} to {last:,}", _number(count), bar)
    return table


def _table(title: str, first: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column(first)
    for column in columns:
        table.add_column(column, justify="right")
    return table


def _number(value: int) -> str:
    return f"{value:,}"
