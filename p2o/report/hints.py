"""The hints of a run: which came of which, and what they were good for."""

import re
from collections import Counter
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from typing import Any

from p2o.prompt import hint_id
from p2o.records.labels import in_words, label_of
from p2o.report.problems import Story
from p2o.report.rollouts import Columns
from p2o.report.runs import Run
from p2o.report.searches import Search

COLUMNS = (
    *("epoch", "step", "candidate", "hint", "parents", "score_before", "score_after"),
    *("accepted", "reason"),
)
"""Of candidates, that tell of the rejected."""
PIECES = re.compile(r"\s+|\w+|[^\w\s]")


@dataclass(frozen=True)
class Exchange:
    """What a reflection model was asked and what it answered, word for word."""

    prompt: str
    answer: str


@dataclass(frozen=True)
class HintNode:
    """A template in one search.

    Attributes:
        search: When that was made.
        index: Place in that search, in order of discovery.
        hint: Its id in the records.
        text: What it says; empty for the bare prompt.
        parents: Places of those it was derived from.
        score: Mean score on the dev problems; None where it was not tried.
        solved: Dev problems that it solves.
        dev: Dev problems it was tried on.
        in_use: Whether rollouts of the next epoch were made with it.
        exchange: The reflection that made it, where that is on record.
        rejected: Why it was not kept; empty for a template of the pool.
        before: Mean score of its parent on the problems that were reflected on; None where unknown.
        after: Its own.
    """

    search: Search
    index: int
    hint: str
    text: str
    parents: tuple[int, ...] = ()
    score: float | None = None
    solved: tuple[str, ...] = ()
    dev: int = 0
    in_use: bool = False
    exchange: Exchange | None = None
    rejected: str = ""
    before: float | None = None
    after: float | None = None

    @property
    def blank(self) -> str:
        """What stands in the place of an empty text."""
        return "(nothing that could be used)" if self.rejected else "(the bare prompt)"


@dataclass
class HintUse:
    """What rollouts with a hint came to, over the whole run.

    Attributes:
        rollouts: Training rollouts with it that have a verdict.
        solved: Of these.
        first: Problems that it was the first to solve.
        internalised: Of these, problems that were later solved without a hint.
        reliance: Mean log-ratio of its rollouts' tokens with and without it, where measured.
    """

    rollouts: int = 0
    solved: int = 0
    first: list[str] = field(default_factory=list)
    internalised: list[str] = field(default_factory=list)
    reliance: float | None = None


def hint_nodes(
    run: Run,
    exchanges: Mapping[tuple[Search, str], Exchange] | None = None,
    searched: Container[Search] = (),
) -> list[HintNode]:
    """The templates of each search of a run, in order.

    A pool that deals out anew what the search before it has found adds none.

    Args:
        run: Its pools are read.
        exchanges: By search and id of the hint.
        searched: Pools that are known to be of a search, be it one that found the same.
    """
    found: list[HintNode] = []
    before: list[str] = []
    for search, pool in run.pools.items():
        labels = [label_of(template) for template in pool["templates"]]
        if labels == before and search not in searched:
            continue
        before = labels
        for index, template in enumerate(pool["templates"]):
            exchange = (exchanges or {}).get((search, hint_id(labels[index])))
            found.append(_node(search, index, template, pool.get("cover", ()), exchange))
    return found


def _node(
    search: Search,
    index: int,
    template: Mapping[str, Any],
    cover: Sequence[int],
    exchange: Exchange | None,
) -> HintNode:
    label = label_of(template)
    return HintNode(
        search,
        index,
        hint_id(label),
        in_words(label),
        tuple(parent for parent in template.get("parents", ()) if parent is not None),
        template.get("score"),
        tuple(template.get("solved", ())),
        len(template.get("dev_scores", ())),
        index in cover,
        exchange,
    )


def rejected_nodes(
    nodes: Sequence[HintNode],
    candidates: Columns,
    exchanges: Columns,
    texts: Mapping[str, str],
) -> list[HintNode]:
    """What each search has asked for and not kept, numbered behind the templates of its pool.

    Args:
        nodes: Of the pools.
        candidates: Of the records.
        exchanges: Likewise.
        texts: Of hints by id.
    """
    pools = Counter(node.search for node in nodes)
    names = ("epoch", "step", "candidate", "prompt", "answer")
    asked = {
        (Search(epoch, step), candidate): Exchange(prompt, answer)
        for epoch, step, candidate, prompt, answer in _rows(exchanges, *names)
    }
    kept = {(node.search, node.hint): node.index for node in reversed(nodes)}
    numbers: dict[tuple[Search, int], int] = {}
    left = Counter[Search]()
    found = []
    rows = [(Search(epoch, step), *row) for epoch, step, *row in _rows(candidates, *COLUMNS)]
    rows.sort(key=lambda row: (row[0].key, row[1]))
    for search, candidate, hint, parents, *scores, accepted, reason in rows:
        before, after = map(_mean, scores)
        # What was asked for again, or is in the pool and not in use, stands there already.
        if accepted or (hint and (search, hint) in kept):
            numbers[search, candidate] = kept.get((search, hint or ""), 0)
            continue
        numbers[search, candidate] = index = pools[search] + left[search]
        left[search] += 1
        known = (numbers.get((search, parent)) for parent in parents or ())
        found.append(
            HintNode(
                search,
                index,
                hint or "",
                texts.get(hint or "", ""),
                tuple(parent for parent in known if parent is not None),
                exchange=asked.get((search, candidate)),
                rejected=reason or "no reason is on record",
                before=before,
                after=after,
            )
        )
    return found


def _rows(table: Columns, *names: str) -> Iterator[tuple[Any, ...]]:
    return zip(*(table[name] for name in names), strict=True)


def _mean(values: Sequence[float] | None) -> float | None:
    return sum(values) / len(values) if values else None


def read_exchanges(candidates: Columns, exchanges: Columns) -> dict[tuple[Search, str], Exchange]:
    """Reflections by search and id of the hint that came of them.

    Of several that gave the same hint the first is taken.
    """
    place = ("epoch", "step", "candidate")
    hints = {tuple(where): hint for *where, hint in _rows(candidates, *place, "hint")}
    found: dict[tuple[Search, str], Exchange] = {}
    for epoch, step, candidate, *said in _rows(exchanges, *place, "prompt", "answer"):
        hint = hints.get((epoch, step, candidate))
        if hint:
            found.setdefault((Search(epoch, step), hint), Exchange(*said))
    return found


def hint_use(rollouts: Columns, stories: Mapping[str, Story]) -> dict[str, HintUse]:
    """What came of each hint, by its id.

    Args:
        rollouts: In order.
        stories: Of the same rollouts.
    """
    found: dict[str, HintUse] = {}
    measured: dict[str, list[float]] = {}
    columns = zip(
        *(rollouts[name] for name in ("phase", "hinted", "hint", "solved", "reliance")), strict=True
    )
    for phase, hinted, hint, solved, reliance in columns:
        if phase != "training" or not hinted or not hint or solved is None:
            continue
        use = found.setdefault(hint, HintUse())
        use.rollouts += 1
        use.solved += bool(solved)
        if reliance is not None and reliance == reliance:
            measured.setdefault(hint, []).append(reliance)
    for hint, values in measured.items():
        found[hint].reliance = sum(values) / len(values)
    for problem, story in stories.items():
        life = story.life
        if life["unlocked"] is not None and life["hint"]:
            use = found.setdefault(life["hint"], HintUse())
            use.first.append(problem)
            if life["internalised"] is not None:
                use.internalised.append(problem)
    return found


def layout(nodes: Sequence[HintNode]) -> list[tuple[int, int]]:
    """Where the nodes of one search stand: generation from its roots, and a row of their own.

    A node stands below its first parent, after the children that came before it.

    Args:
        nodes: Of one search.
    """
    by_index = {node.index: node for node in nodes}
    children: dict[int | None, list[int]] = {}
    for node in nodes:
        known = [p for p in node.parents if p in by_index and p < node.index]
        children.setdefault(known[0] if known else None, []).append(node.index)
    places: dict[int, tuple[int, int]] = {}
    waiting = [(index, 0) for index in reversed(children.get(None, []))]
    while waiting:
        index, generation = waiting.pop()
        places[index] = generation, len(places)
        waiting += [(child, generation + 1) for child in reversed(children.get(index, []))]
    return [places[node.index] for node in nodes]


def difference(before: str, after: str) -> list[tuple[str, str]]:
    """What was changed between two texts, word by word.

    >>> difference("Add the digits.", "Add all digits.")
    [('same', 'Add '), ('out', 'the'), ('in', 'all'), ('same', ' digits.')]

    Returns:
        Pieces: ``same``, ``out`` (of the first text alone) or ``in``, and the text.
    """
    old, new = PIECES.findall(before), PIECES.findall(after)
    pieces: list[tuple[str, str]] = []
    matcher = SequenceMatcher(None, old, new, autojunk=False)
    for operation, a, b, c, d in matcher.get_opcodes():
        if operation == "equal":
            pieces.append(("same", "".join(old[a:b])))
            continue
        if b > a:
            pieces.append(("out", "".join(old[a:b])))
        if d > c:
            pieces.append(("in", "".join(new[c:d])))
    return pieces
