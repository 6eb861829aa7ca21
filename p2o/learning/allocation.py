"""How many rollouts each prompt of a batch gets; all together as many as with equal groups."""

from collections.abc import Sequence
from typing import Protocol

from p2o.hints.problems import Tally


class Allocation(Protocol):
    """Deals out the rollouts of a batch among its prompts.

    Prompts with hints are not asked about: theirs are dealt out by `Assigner`. Nothing is kept
    here, so that a resumed run deals out the same.
    """

    def sizes(self, tallies: Sequence[Tally | None], group_size: int) -> list[int]:
        """Rollouts of each prompt.

        Args:
            tallies: How each prompt's last rollouts without hints fared; None where it had none.
            group_size: Rollouts of a prompt on average, K.

        Returns:
            One number for each prompt, `group_size` times as many in all.

        Raises:
            UserError: Its settings leave no room for so many.
        """
        ...


class Even:
    """K for each."""

    def sizes(self, tallies: Sequence[Tally | None], group_size: int) -> list[int]:
        """See `Allocation`."""
        return [group_size] * len(tallies)
