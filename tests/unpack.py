"""What is in packed rows, read from them alone."""

import torch

from p2o.learning.minibatch import MiniBatch
from p2o.policy.packing import Packed


def seen(packed: Packed) -> list[tuple[int, ...]]:
    """Of each learned token, what it is predicted from."""
    length = packed.input_ids.shape[1]
    causal = torch.ones(length, length, dtype=torch.bool).tril()
    masks = causal.expand(len(packed.input_ids), -1, -1)
    if packed.tree is not None:
        masks = packed.tree.mask()[:, 0]
    found = []
    for place in packed.predictors.tolist():
        row, query = divmod(place, length)
        found.append(tuple(packed.input_ids[row][masks[row, query]].tolist()))
    return found


def samples_of(batch: MiniBatch) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Of each sample in order: what stands before its first learned token, and learned tokens."""
    before = [ids for packed in batch.passes for ids in seen(packed)]
    targets = [token for packed in batch.passes for token in packed.targets.tolist()]
    samples = []
    for number in batch.sequences.unique().tolist():
        places = (batch.sequences == number).nonzero()[:, 0].tolist()
        samples.append((before[places[0]], tuple(targets[place] for place in places)))
    return samples


def per_sample(batch: MiniBatch, values: torch.Tensor) -> list[list[float]]:
    """`[M]` values as lists, one of each sample."""
    return [values[batch.sequences == n].tolist() for n in batch.sequences.unique()]
