"""What one `training_step` gets: packed samples, and their streams laid end to end.

Shapes: N samples, M learned tokens of all.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

import torch
from torch import Tensor

from p2o.policy.packing import Packed, Packer, Tree
from p2o.sample import Sample


@dataclass
class MiniBatch:
    """Samples of one training step.

    Attributes:
        passes: What goes through the network, in order. Learned tokens come out in the order of the
            streams; tokens of a pass that only keeps ranks in step come after them.
        streams: `[M]` each, not a number where a sample has no such stream.
        sequences: `[M]`, number of the sample that a token belongs to, from 0 without gaps.
        total_tokens: Learned tokens of the whole optimiser step: all micro-batches, all ranks,
            samples left out for want of a gradient included.
        total_sequences: Samples, counted likewise.
    """

    passes: list[Packed]
    streams: dict[str, Tensor]
    sequences: Tensor
    total_tokens: int
    total_sequences: int

    @property
    def tokens(self) -> int:
        """Tokens that go through the network."""
        return sum(packed.tokens for packed in self.passes)

    def stream(self, name: str, absent: float | Tensor) -> Tensor:
        """`[M]` values of a stream, and others for samples that do not have it."""
        values = self.streams.get(name)
        if values is None:
            return torch.as_tensor(absent).to(self.sequences.device).expand(len(self.sequences))
        return torch.where(values.isnan(), absent, values)

    def has(self, name: str) -> Tensor:
        """`[M]`, whether a token's sample has a stream."""
        values = self.streams.get(name)
        if values is None:
            return torch.zeros_like(self.sequences, dtype=torch.bool)
        return ~values.isnan()

    def passes_apart(self) -> Iterator[Self]:
        """One mini-batch for each pass, with its part of the streams."""
        start = 0
        for packed in self.passes:
            # A pass that only keeps ranks in step has a target and no place in the streams.
            part = slice(start, start + len(packed.targets))
            start = part.stop
            sequences = self.sequences[part]
            yield replace(
                self,
                passes=[packed],
                streams={name: values[part] for name, values in self.streams.items()},
                # A sample has all of its tokens in one pass.
                sequences=sequences - sequences.min() if len(sequences) else sequences,
            )

    def state_dict(self) -> dict[str, Any]:
        """Plain data, for a checkpoint."""
        return asdict(self)

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """What `state_dict` wrote."""
        passes = [
            Packed(**{**packed, "tree": packed["tree"] and Tree(**packed["tree"])})
            for packed in state["passes"]
        ]
        return cls(**{**state, "passes": passes})


def collate(
    samples: Sequence[Sample],
    packer: Packer,
    names: Iterable[str],
    total_tokens: int,
    total_sequences: int,
) -> MiniBatch:
    """Put samples into one mini-batch.

    Args:
        samples: Any number.
        packer: Puts them into rows.
        names: The streams that there are to be, be it that no sample here has them.
        total_tokens: Of the whole optimiser step, see `MiniBatch`.
        total_sequences: Likewise.
    """
    packed = packer.pack(samples)
    ordered = [samples[index] for _, indices in packed for index in indices]
    lengths = torch.tensor([sample.learned for sample in ordered], dtype=torch.long)
    streams = {
        name: torch.cat([torch.empty(0), *(_values(sample, name) for sample in ordered)])
        for name in names
    }
    return MiniBatch(
        passes=[rows for rows, _ in packed],
        streams=streams,
        sequences=torch.arange(len(ordered)).repeat_interleave(lengths),
        total_tokens=total_tokens,
        total_sequences=total_sequences,
    )


def _values(sample: Sample, name: str) -> Tensor:
    values = sample.streams.get(name)
    if values is None:
        return torch.full((sample.learned,), torch.nan)
    if values.isnan().any():
        raise ValueError(f"{name}: not a number at one of a sample's tokens")
    return values
