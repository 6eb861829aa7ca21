"""Weights that are not trained: a checkpoint leaves them out, and says which they were."""

import hashlib

import torch
from torch import nn

from p2o.errors import UserError

FROZEN = "frozen_weights"
"""Key of a checkpoint under which the checksum of the weights that it leaves out stands."""


def frozen_names(module: nn.Module) -> frozenset[str]:
    """Names of the parameters that are not trained, a tied one under each of its names."""
    named = module.named_parameters(remove_duplicate=False)
    return frozenset(name for name, parameter in named if not parameter.requires_grad)


@torch.no_grad()
def frozen_checksum(model: nn.Module) -> str | None:
    """A checksum of all weights that are not trained; None where all are.

    Args:
        model: Whole, with or without an adapter.
    """
    hashed, found = hashlib.blake2b(digest_size=32), False
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            found = True
            hashed.update(f"{name}{parameter.dtype}{list(parameter.shape)}".encode())
            values = parameter.detach().cpu().contiguous().reshape(-1)
            hashed.update(values.view(torch.uint8).numpy().data)
    return hashed.hexdigest() if found else None


def check_frozen(where: str, then: str | None, now: str | None) -> None:
    """Compare the weights below a checkpoint with those that it is to be used with.

    Args:
        where: What the checkpoint was given as, for the message.
        then: Checksum of those it was trained with.
        now: Of those at hand.

    Raises:
        UserError: They are others.
    """
    if then != now:
        raise UserError(
            f"{where}: trained on top of other weights than the model's; give the model that it "
            "was trained with"
        )
