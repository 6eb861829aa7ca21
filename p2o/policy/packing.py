"""Samples to rows of tokens: what several have in common goes through the network once.

Samples in lexicographic order stand beside those with which they share the longest beginning. Each
adds to its row what it does not share with the one before it. So a row holds prefix trees: a
prompt once, and then its completions. A token sees what its own sample has before it: a token of
another branch at a lower depth than the length of the beginning that both samples share. Samples
that share nothing stand in one row too, where padding would stand otherwise.

Shapes: B rows of L tokens, S samples in a row, M learned tokens of all samples.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Self

import numpy as np
import torch
from lightning_utilities.core.apply_func import apply_to_collection
from torch import Tensor

from p2o.sample import Sample

logger = logging.getLogger(__name__)

ALWAYS = 2**31 - 1
"""A length that no sample reaches."""


@dataclass
class Tree:
    """Which tokens of rows see which, where rows hold several samples.

    Attributes:
        positions: `[B, L]`, how many tokens a token's own sample has before it.
        branches: `[B, L]`, which sample of its row added a token.
        shared: `[B, S, S]`, tokens that two samples of a row begin with in common.
    """

    positions: Tensor
    branches: Tensor
    shared: Tensor

    def visible(self, row: Tensor, query: Tensor, key: Tensor) -> Tensor:
        """Whether a token sees another of its row; indices of any shapes that go together."""
        depth = self.positions[row, key]
        common = self.shared[row, self.branches[row, query], self.branches[row, key]]
        return (depth <= self.positions[row, query]) & (depth < common)

    def mask(self) -> Tensor:
        """`[B, 1, L, L]`, whether the token at the third index sees the one at the fourth."""
        rows, length = self.positions.shape
        row = torch.arange(rows, device=self.positions.device)[:, None, None]
        place = torch.arange(length, device=self.positions.device)
        return self.visible(row, place[:, None], place[None, :])[:, None]


@dataclass
class Packed:
    """Rows for one pass through the network.

    Attributes:
        input_ids: `[B, L]`, padded on the right.
        lengths: `[B]`.
        predictors: `[M]`, places in the rows laid end to end whose hidden states predict the
            learned tokens, sample by sample.
        targets: `[M]`, the learned tokens.
        tree: None where each row is one sample.
        choices: Whether some place predicts several tokens, which `targets` has one after another.
    """

    input_ids: Tensor
    lengths: Tensor
    predictors: Tensor
    targets: Tensor
    tree: Tree | None = None
    choices: bool = False

    @property
    def tokens(self) -> int:
        """Tokens that go through the network, padding left out."""
        return int(self.lengths.sum())

    def to(self, device: torch.device | str) -> "Packed":
        """On a device."""
        return apply_to_collection(self, Tensor, Tensor.to, device)


@dataclass(frozen=True)
class Packer:
    """Decides which samples share a row, and which rows share a pass.

    Attributes:
        longest: The longest sample that a row may have beside others: 0 for a model that cannot
            take a mask, the window for one whose attention has one.
        width: Of the model. Attention under a dense mask is paid for between branches too, which
            see nothing of each other: two samples share a row where that costs less than the
            tokens they share. None where the mask is sparse, so that sharing is free.
        pass_tokens: The most tokens in one pass, padding included; one sample may have more.
        alone_above: A sample of more tokens has a pass of its own, as the model would read others
            beside it otherwise; None for a model that reads all alike.
    """

    longest: int = 0
    width: int | None = None
    pass_tokens: int = 8192
    alone_above: int | None = None

    def pack(self, samples: Sequence[Sample]) -> list[tuple[Packed, list[int]]]:
        """Passes, each with the indices of its samples in order."""
        ordered = _Ordered.of(samples)
        alone = [place for place, ids in enumerate(ordered.ids) if self._is_alone(ids)]
        # A sample beside which no other may stand has no part in a pass under a mask either.
        apart = [
            place
            for place, ids in enumerate(ordered.ids)
            if len(ids) > self.longest and not self._is_alone(ids)
        ]
        if alone:
            _tell_once(self.alone_above, "which would change how others in their pass are read")
        if apart and self.longest:
            _tell_once(self.longest, "the most that a layer of this model sees")
        passes = [[ordered.row([place])] for place in alone]
        passes += self._passes([ordered.row([place]) for place in apart])
        passes += self._passes(self._trees(ordered), ordered)
        return [
            (_packed(rows, samples), [index for row in rows for index in row.indices])
            for rows in passes
        ]

    def split_evenly(self, samples: Sequence[Sample], parts: int) -> list[list[int]]:
        """Indices of samples in parts of about equally many tokens, siblings together.

        What samples share counts once, unless they may share no row: then each is read as a whole.

        Args:
            samples: Any number.
            parts: How many; some are empty where there are fewer samples.
        """
        ordered = _Ordered.of(samples)
        costs = np.array(self._costs(ordered))
        ends = np.cumsum(costs)
        # A sample belongs to the part in which its middle lies.
        middles = (ends - costs / 2) / max(ends[-1] if len(ends) else 0, 1)
        homes = np.minimum((middles * parts).astype(int), parts - 1)
        return [
            [ordered.indices[place] for place in np.flatnonzero(homes == part)]
            for part in range(parts)
        ]

    def _costs(self, ordered: "_Ordered") -> list[int]:
        """Tokens that each sample adds to those before it that may share a row."""
        fitting = [place for place, ids in enumerate(ordered.ids) if self._fits(ids)]
        shared = dict(zip(fitting, ordered.common(fitting), strict=False))
        return [len(ids) - shared.get(place, 0) for place, ids in enumerate(ordered.ids)]

    def _trees(self, ordered: "_Ordered") -> list["_Row"]:
        """Rows of samples that follow each other in lexicographic order."""
        rows: list[list[int]] = []
        length = 0
        for place, ids in enumerate(ordered.ids):
            if not self._fits(ids):
                continue
            common = ordered.common([*rows[-1][-1:], place])[-1] if rows else 0
            added = len(ids) - common
            room = rows and length + added <= self.pass_tokens
            if room and self._worth_sharing(common, added, length):
                rows[-1].append(place)
                length += added
            else:
                rows.append([place])
                length = len(ids)
        return [ordered.row(places) for places in rows]

    def _passes(
        self, rows: Sequence["_Row"], ordered: "_Ordered | None" = None
    ) -> list[list["_Row"]]:
        """Rows in passes, the longest first.

        Args:
            rows: Any number.
            ordered: What they are made of, if several may become one.
        """
        passes: list[list[_Row]] = []
        for row in sorted(rows, key=lambda row: -row.length):
            if not (passes and self._takes(passes[-1], row, ordered)):
                passes.append([row])
        return passes

    def _takes(self, rows: list["_Row"], row: "_Row", ordered: "_Ordered | None") -> bool:
        """Put a row into a pass, where padding would stand or by itself, if there is room."""
        width = rows[0].length
        beside = next((p for p, o in enumerate(rows) if o.length + row.length <= width), None)
        if ordered and beside is not None:
            rows[beside] = ordered.row(sorted((*rows[beside].places, *row.places)))
            return True
        if (len(rows) + 1) * width > self.pass_tokens:
            return False
        rows.append(row)
        return True

    def _fits(self, ids: np.ndarray) -> bool:
        return len(ids) <= self.longest and not self._is_alone(ids)

    def _is_alone(self, ids: np.ndarray) -> bool:
        return self.alone_above is not None and len(ids) > self.alone_above

    def _worth_sharing(self, common: int, added: int, length: int) -> bool:
        """Whether what is shared outweighs attention that sees nothing.

        A token costs about 24 width^2 operations in a layer outside of attention, and 4 width for
        each token of its row in it. Sharing a row adds `added` * `length` pairs twice over.
        """
        return self.width is None or common > added * length / (3 * self.width)


@dataclass(frozen=True)
class _Row:
    """Samples that share a row.

    Attributes:
        places: In lexicographic order.
        indices: Of the samples.
        common: Tokens that each shares with the one before it in the row.
        length: Of the row.
    """

    places: list[int]
    indices: list[int]
    common: list[int]
    length: int


@dataclass(frozen=True)
class _Ordered:
    """Samples in lexicographic order.

    Attributes:
        indices: Of the samples.
        ids: Their tokens.
        neighbours: Tokens that each shares with the one before it.
    """

    indices: list[int]
    ids: list[np.ndarray]
    neighbours: list[int]

    @classmethod
    def of(cls, samples: Sequence[Sample]) -> Self:
        """Put in order."""
        indices = in_order(samples)
        ids = [np.array(samples[index].token_ids) for index in indices]
        return cls(indices, ids, [0, *(common_beginning(*pair) for pair in pairwise(ids))])

    def common(self, places: Sequence[int]) -> list[int]:
        """Tokens that each shares with the one before it among `places`, which ascend."""
        # Whatever stands between two in lexicographic order shares as much with both.
        pairs = pairwise(places)
        return [0, *(min(self.neighbours[one + 1 : other + 1]) for one, other in pairs)]

    def row(self, places: list[int]) -> _Row:
        """Samples side by side, what they share once; their places ascend."""
        common = self.common(places)
        length = sum(len(self.ids[place]) for place in places) - sum(common)
        return _Row(places, [self.indices[place] for place in places], common, length)


@cache
def _tell_once(longest: int | None, why: str) -> None:
    logger.warning(
        "rollouts of more than %d tokens, %s, are read one by one, prompts not shared", longest, why
    )


def nothing() -> Packed:
    """A pass that only keeps one rank in step with others."""
    [(packed, _)] = Packer().pack([Sample.of((0,), (0,))])
    return packed


def in_order(samples: Sequence[Sample]) -> list[int]:
    """Indices of samples in lexicographic order of their tokens."""
    return sorted(range(len(samples)), key=lambda index: (samples[index].token_ids, index))


def common_beginning(one: np.ndarray, other: np.ndarray) -> int:
    """How many tokens two sequences begin with in common."""
    size = min(len(one), len(other))
    differing = np.flatnonzero(one[:size] != other[:size])
    return int(differing[0]) if len(differing) else size


def _packed(rows: Sequence[_Row], samples: Sequence[Sample]) -> Packed:
    length, most = max(row.length for row in rows), max(len(row.indices) for row in rows)
    shape = len(rows), length
    # Padding stands at the beginning: a position beyond all samples may be one the model lacks.
    input_ids, positions = np.zeros(shape, int), np.zeros(shape, int)
    # What pads a row is a branch of its own.
    branches = np.full(shape, most)
    shared = np.zeros((len(rows), most + 1, most + 1), np.int32)
    predictors, targets = [], []
    for number, row in enumerate(rows):
        end, path = 0, np.empty(0, int)
        for branch, (index, common) in enumerate(zip(row.indices, row.common, strict=True)):
            sample = samples[index]
            ids = np.array(sample.token_ids)
            start, end = end, end + len(ids) - common
            path = np.concatenate([path[:common], np.arange(start, end)])
            input_ids[number, start:end] = ids[common:]
            positions[number, start:end] = np.arange(common, len(ids))
            branches[number, start:end] = branch
            if branch:
                before = np.minimum(shared[number, branch - 1, :branch], common)
                before[branch - 1] = common
                shared[number, branch, :branch] = shared[number, :branch, branch] = before
            learned = np.flatnonzero(sample.loss_mask.numpy())
            chosen = ids[learned] if sample.choices is None else sample.choices.flatten().numpy()
            # The hidden state at one place predicts the token at the next, or each of its choices.
            place = number * length + path[learned - 1]
            predictors.append(place.repeat(len(chosen) // len(learned)) if len(learned) else place)
            targets.append(chosen)
        diagonal = np.arange(most + 1)
        shared[number, diagonal, diagonal] = ALWAYS
    return Packed(
        torch.from_numpy(input_ids),
        torch.tensor([row.length for row in rows]),
        torch.from_numpy(np.concatenate(predictors)),
        torch.from_numpy(np.concatenate(targets)),
        Tree(*map(torch.from_numpy, (positions, branches, shared))) if most > 1 else None,
        any(samples[index].choices is not None for row in rows for index in row.indices),
    )
