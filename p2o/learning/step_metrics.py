"""Means and maxima over an optimiser step: of all its micro-batches, on all ranks."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

SumAndWeight = tuple[Tensor, Tensor | float]
"""A micro-batch's part of a mean: the sum of its values, and their weight."""


class StepMetrics:
    """Adds up what micro-batches contribute to the means of their optimiser step.

    A mean of the micro-batches' own means would weigh a micro-batch of one token like one of a
    thousand; the last one alone may be a filler.
    """

    def __init__(self) -> None:
        self._totals: dict[str, Tensor] = {}
        self._highest: dict[str, Tensor] = {}

    def add(self, shares: Mapping[str, SumAndWeight]) -> None:
        """Take in one micro-batch. Nothing waits for the device."""
        for name, (value, weight) in shares.items():
            value = value.detach().to(torch.promote_types(value.dtype, torch.float32))
            # Half precision may be the default type here.
            weighed = torch.as_tensor(weight, dtype=value.dtype, device=value.device)
            share = torch.stack([value, weighed])
            before = self._totals.get(name)
            self._totals[name] = share if before is None else before + share

    def add_highest(self, values: Mapping[str, Tensor]) -> None:
        """Take in values of which the highest is wanted."""
        for name, value in values.items():
            before = self._highest.get(name)
            self._highest[name] = value if before is None else torch.maximum(before, value)

    def highest(self, over_ranks: Callable[[Tensor], Tensor]) -> dict[str, Tensor]:
        """The highest values, not a number where all are minus infinity; the next step starts anew.

        Args:
            over_ranks: Takes the highest of a tensor over all ranks, which have added the same
                names.
        """
        if not self._highest:
            return {}
        values = over_ranks(torch.stack(list(self._highest.values())))
        values = values.masked_fill(values.isneginf(), torch.nan)
        highest = dict(zip(self._highest, values, strict=True))
        self._highest = {}
        return highest

    def means(self, add_ranks: Callable[[Tensor], Tensor]) -> dict[str, Tensor]:
        """The means, not a number where nothing had weight; the next step starts at zero.

        Args:
            add_ranks: Sums a tensor over all ranks, which have added the same names.
        """
        if not self._totals:
            return {}
        sums = add_ranks(torch.stack(list(self._totals.values())))
        means = dict(zip(self._totals, sums[:, 0] / sums[:, 1], strict=True))
        self._totals = {}
        return means
