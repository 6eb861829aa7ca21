"""Rows that cannot be used: named, counted, and refused when they are too many."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from p2o.errors import UserError

logger = logging.getLogger(__name__)

SHOWN = 10
"""Rejected rows that are named."""


@dataclass(frozen=True)
class Rejected:
    """A row that cannot be used.

    Attributes:
        row: What to call it, such as ``row 12``; the first row is 0.
        reason: One line.
    """

    row: str
    reason: str


def leave_out(
    rejected: Sequence[Rejected], total: int, most: float, what: str, argument: str
) -> None:
    """Warn of rows that are left out, ten of them by name.

    Args:
        rejected: These rows.
        total: How many rows there are with them.
        most: Highest share that may be left out.
        what: Whose rows they are and what cannot be done with them.
        argument: Name of the one that says `most`.

    Raises:
        UserError: They are more than that.
    """
    if not rejected:
        return
    named = "".join(f"\n  {each.row}: {each.reason}" for each in rejected[:SHOWN])
    said = f"{what}: {len(rejected)} of {total} ({len(rejected) / total:.2%}){named}"
    if len(rejected) > most * total:
        raise UserError(f"{said}\nmend them or raise {argument}={most}")
    logger.warning("%s", said)
