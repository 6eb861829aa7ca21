"""Samples to rows of tokens: what several have in common goes through the network once.

Samples in lexicographic order stand beside those with which they share the longest beginning. Each
adds to its row what it does not share with the one before it. So a row holds a prefix tree: the
prompt once, and then its completions. A token sees what its own sample has before it: a token of
another branch at a lower depth than the length of the beginning that both samples share.

Shapes: B rows of L tokens, S samples in a row, M learned tokens of all samples.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from lightning_utilities.core.apply_func import apply_to_collection
from torch import Tensor

from p2o.sample import Sample

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
    """

    longest: int = 0
    width: int | None = None
    pass_tokens: int = 8192

    def pack(self, samples: Sequence[Sample]) -> list[tuple[Packed, list[int]]]:
        """Passes, each with the indices of its samples in order."""
        passes: list[list[_Row]] = []
        # A row beside which no other may stand has no part in a pass under a mask either.
        rows = sorted(self._rows(samples), key=lambda row: (self._fits(row.last), -row.length))
        for row in rows:
            last = passes[-1] if passes else []
            alike = last and self._fits(last[0].last) == self._fits(row.last)
            if alike and (len(last) + 1) * last[0].length <= self.pass_tokens:
                last.append(row)
            else:
                passes.append([row])
        return [
            (_packed(rows, samples), [index for row in rows for index in row.indices])
            for rows in passes
        ]

    def _rows(self, samples: Sequence[Sample]) -> list["_Row"]:
        rows: list[_Row] = []
        for index in in_order(samples):
            ids = np.array(samples[index].token_ids)
            if rows and self._fits(ids) and self._fits(rows[-1].last):
                common = common_beginning(rows[-1].last, ids)
                added = len(ids) - common
                room = rows[-1].length + added <= self.pass_tokens
                if room and self._worth_sharing(common, added, rows[-1].length):
                    rows[-1].add(index, ids, common)
                    continue
            rows.append(_Row(ids, [index], [0], len(ids)))
        return rows

    def _fits(self, ids: np.ndarray) -> bool:
        return len(ids) <= self.longest

    def _worth_sharing(self, common: int, added: int, length: int) -> bool:
        """Whether what is shared outweighs attention that sees nothing.

        A token costs about 24 width^2 operations in a layer outside of attention, and 4 width for
        each token of its row in it. Sharing a row adds `added` * `length` pairs twice over.
        """
        if self.width is None:
            return common > 0
        return common > added * length / (3 * self.width)


@dataclass
class _Row:
    """Samples that share a row, in lexicographic order.

    Attributes:
        last: Token ids of the last one.
        indices: Of the samples.
        common: Tokens that each shares with the one before it.
        length: Of the row.
    """

    last: np.ndarray
    indices: list[int]
    common: list[int]
    length: int

    def add(self, index: int, ids: np.ndarray, common: int) -> None:
        self.last, self.length = ids, self.length + len(ids) - common
        self.indices.append(index)
        self.common.append(common)


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


def split_evenly(samples: Sequence[Sample], parts: int) -> list[list[int]]:
    """Indices of samples in parts of about equally many tokens, siblings together.

    Args:
        samples: Any number.
        parts: How many; some are empty where there are fewer samples.
    """
    order = in_order(samples)
    arrays = [np.array(samples[index].token_ids) for index in order]
    commons = [0, *(common_beginning(*pair) for pair in zip(arrays, arrays[1:], strict=False))]
    costs = np.array([len(ids) - common for ids, common in zip(arrays, commons, strict=False)])
    ends = np.cumsum(costs)
    # A sample belongs to the part in which its middle lies.
    middles = (ends - costs / 2) / max(ends[-1] if len(ends) else 0, 1)
    homes = np.minimum((middles * parts).astype(int), parts - 1)
    return [[order[place] for place in np.flatnonzero(homes == part)] for part in range(parts)]


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
