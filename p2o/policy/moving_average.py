"""A policy whose weights are the moving average of those of the one that is trained."""

from collections.abc import Iterator, Mapping
from typing import Annotated

import torch
from annotated_types import Gt, Le
from torch import Tensor, nn
from torch.func import functional_call

from p2o.policy.causal import CausalPolicy
from p2o.policy.packing import Packed

Rate = Annotated[float, Gt(0), Le(1)]
"""Share of the new weights in the average."""


class MovingAverage(nn.Module):
    """A teacher that follows the policy slowly: after each update ``(1 - rate) mean + rate new``.

    SDPO (arXiv 2601.20802) and SDFT (arXiv 2601.19897) let such a policy grade. What is not trained
    is shared with the policy, so that with an adapter the average takes next to no memory. (The
    mean of two adapters is that of their matrices, not of the products of these.) The average is
    kept in float32 at least: in bfloat16 most of its steps would be rounded away.

    Args:
        policy: The policy, before any training; in one piece, not in shards.
        rate: Of the new weights; 1 is the policy itself.
    """

    def __init__(self, policy: CausalPolicy, rate: Rate = 0.05) -> None:
        super().__init__()
        if not 0 < rate <= 1:
            raise ValueError(f"rate={rate}: give more than 0 and at most 1")
        self.rate = rate
        # No part of this module: its weights are the trainer's.
        self.__dict__["policy"] = policy
        self.average: dict[str, Tensor] = {}
        self.restart()

    def _trained(self) -> Iterator[tuple[str, nn.Parameter]]:
        policy: CausalPolicy = self.__dict__["policy"]
        return ((name, each) for name, each in policy.named_parameters() if each.requires_grad)

    @torch.no_grad()
    def restart(self) -> None:
        """Take the weights as they are."""
        for name, weight in self._trained():
            precise = torch.promote_types(weight.dtype, torch.float32)
            self.average[name] = weight.detach().to(precise, copy=True)

    @torch.no_grad()
    def update(self) -> None:
        """Move towards the weights as they are."""
        for name, weight in self._trained():
            average = self.average[name] = self.average[name].to(weight.device)
            average.lerp_(weight.detach().to(average.dtype), self.rate)

    @torch.no_grad()
    def forward(self, packed: Packed) -> tuple[Tensor, Tensor]:
        """See `CausalPolicy.forward`."""
        weights = {
            name: self.average[name].to(weight.device, weight.dtype)
            for name, weight in self._trained()
        }
        return functional_call(self.__dict__["policy"], weights, (packed,))

    def weights(self) -> dict[str, Tensor]:
        """The average, for a checkpoint."""
        return {name: average.to("cpu", copy=True) for name, average in self.average.items()}

    def take(self, weights: Mapping[str, Tensor]) -> None:
        """Take over what `weights` gave."""
        self.average = {name: average.clone() for name, average in weights.items()}
