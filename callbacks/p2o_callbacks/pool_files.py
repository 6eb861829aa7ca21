"""The files of the pools of a run, one for each pool that is published."""

import json
import logging
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from p2o_callbacks.pool import PromptPool

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Moment:
    """When a pool is made.

    Attributes:
        epoch: At hand; the first is 0.
        step: Optimiser steps made by then, of a pool that is made within its epoch; None for one
            that is made before it.
    """

    epoch: int
    step: int | None = None

    @property
    def name(self) -> str:
        """Of the pool's file; in the order of names pools are in order of time.

        >>> Moment(3).name, Moment(3, 12).name
        ('epoch_0003', 'epoch_0003_step_00000012')
        """
        within = "" if self.step is None else f"_step_{self.step:08d}"
        return f"epoch_{self.epoch:04d}{within}"

    @property
    def seed(self) -> tuple[int | str, ...]:
        """What the seeds of a search at this moment are derived from."""
        return (self.epoch,) if self.step is None else ("step", self.step)


def write_pool(folder: Path, moment: Moment, pool: PromptPool) -> None:
    """Write a pool and its moment as JSON; whole or not at all, for a kill must not leave half."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{moment.name}.json"
    aside = path.with_name(path.name + ".part")
    aside.write_text(_as_text({**asdict(moment), **pool.state_dict()}))
    aside.replace(path)


def _as_text(state: dict[str, Any]) -> str:
    """JSON for people, but that who gets which template is one line: it has all rollouts."""
    dealt = json.dumps(state["assignment"])
    rest = {key: value for key, value in state.items() if key != "assignment"}
    return json.dumps(rest, indent=2).removesuffix("\n}") + f',\n  "assignment": {dealt}\n}}\n'


def warn_of_pools(folder: Path) -> None:
    """Tell a run that begins of the pools of an earlier one, which would be taken for its own."""
    # One that was killed in its first epoch begins again.
    again = folder.glob(f"{Moment(0).name}*.json")
    pools = sorted({*folder.glob("epoch_*.json")} - {*again})
    if pools:
        logger.warning(
            "%s has pools of an earlier run (%s), which stay beside those of this one; give "
            "PromptEvolution another directory, or the trainer another default_root_dir",
            folder,
            f"{pools[0].stem} to {pools[-1].stem}" if len(pools) > 1 else pools[0].stem,
        )
