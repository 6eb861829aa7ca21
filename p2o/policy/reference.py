"""The reference policy that a KL divergence is measured from."""

import copy
from contextlib import nullcontext

import torch
from torch import Tensor, nn

from p2o.policy.causal import CausalPolicy
from p2o.policy.packing import Packed


class InitialPolicy(nn.Module):
    """The policy as it was when this was made, frozen.

    A model with a peft adapter is not copied: without the adapter it is what it was.

    Args:
        policy: The policy, before any training.
    """

    def __init__(self, policy: CausalPolicy) -> None:
        super().__init__()
        disable_adapter = getattr(policy.model, "disable_adapter", None)
        self._without_adapter = disable_adapter or nullcontext
        if disable_adapter is None:
            policy = copy.deepcopy(policy).requires_grad_(False)
        self.policy = policy

    @torch.no_grad()
    def forward(self, packed: Packed) -> tuple[Tensor, Tensor]:
        """See `CausalPolicy.forward`."""
        with self._without_adapter():
            return self.policy(packed)
