"""What becomes of responses that run into the length limit (DAPO, arXiv 2503.14476)."""

from dataclasses import dataclass

import torch
from torch import Tensor

from p2o.constraints import Count
from p2o.errors import UserError


@dataclass(frozen=True)
class Overlong:
    """DAPO's two ways of treating long responses, section 3.4 there; each can be had alone.

    Attributes:
        max_tokens: The most a response can have.
        mask: Leave responses that were cut off out of the loss and its denominator; their reward
            still counts in their group.
        punished_share: The last share of `max_tokens` in which the reward falls linearly by up to
            1 (equation 13); 0 for no punishment. The paper takes 4,096 of 20,480, a fifth.

    Raises:
        UserError: `punished_share` is no share.
    """

    max_tokens: Count
    mask: bool = False
    punished_share: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.punished_share <= 1:
            raise UserError(f"punished_share={self.punished_share}: give 0 to 1")

    def punishment(self, lengths: Tensor) -> Tensor:
        """What to add to rewards.

        Args:
            lengths: Tokens of each response, any shape.

        Returns:
            The same shape, from -1 to 0.
        """
        if not self.punished_share:
            return torch.zeros_like(lengths, dtype=torch.get_default_dtype())
        interval = self.max_tokens * self.punished_share
        return ((self.max_tokens - interval - lengths) / interval).clamp(-1.0, 0.0)
