"""Whether a checkpoint fits the model that is to take it, and with which settings it goes on."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch.optim.lr_scheduler import LambdaLR

from p2o.errors import UserError
from p2o.running.checkpoint_files import read_header
from p2o.running.frozen import FROZEN, check_frozen, frozen_names

RECORD = "configuration"
"""Key of a checkpoint under which the settings that made it stand."""
PLACE = "within_epoch"
"""Key under which a run that has ended within an epoch has the state to go on from there."""
Settings = Mapping[str, str]
"""Values, as JSON, by dotted key."""


def check_fit(path: Path, module: torch.nn.Module, frozen: str | None = None) -> None:
    """Compare the weights in a checkpoint with those of the module that is to take them.

    Args:
        path: The checkpoint; names and shapes in a folder are compared by torch itself.
        module: The one that is trained.
        frozen: Checksum of its weights that are not trained, which no checkpoint holds.

    Raises:
        UserError: Names one that differs.
    """
    header, left_out = read_header(path), frozen_names(module)
    found = {} if path.is_dir() else _shapes(header["state_dict"])
    wanted = {} if path.is_dir() else _shapes(module.state_dict())
    wanted = {name: shape for name, shape in wanted.items() if name not in left_out}
    for name in sorted(found.keys() | wanted.keys()):
        if found.get(name) != wanted.get(name):
            raise UserError(
                f"{path}: of another model: {name} is {_shape(found.get(name))} there and "
                f"{_shape(wanted.get(name))} in this one"
            )
    check_frozen(f"{path}", header.get(FROZEN), frozen)


def _shapes(state: Mapping[str, torch.Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(value.shape) for name, value in state.items()}


def _shape(shape: tuple[int, ...] | None) -> str:
    return "missing" if shape is None else str(list(shape))


class KeptSettings(Callback):
    """Writes a run's settings into its checkpoints, and lets new ones of the optimiser take effect.

    A checkpoint holds the optimiser's settings and the schedule's along with their state. Where a
    run goes on with other settings, its own are put in place again.

    Args:
        settings: Of the run.
        renew: Whether the optimiser and the schedule are to have the settings of this
            configuration, not those of the checkpoint.
    """

    def __init__(self, settings: Settings, renew: bool) -> None:
        self.settings, self.renew = settings, renew
        self._groups: list[list[dict[str, Any]]] = []
        self._rates: list[list[float]] = []

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Add the settings."""
        checkpoint[RECORD] = dict(self.settings)

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note what this configuration says, before the checkpoint's state takes its place."""
        self._groups = [
            [{key: value for key, value in group.items() if key != "params"} for group in groups]
            for groups in (optimizer.param_groups for optimizer in trainer.optimizers)
        ]
        self._rates = [list(scheduler.base_lrs) for scheduler in _schedules(trainer)]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Put it in place again."""
        if not self.renew:
            return
        for optimizer, groups in zip(trainer.optimizers, self._groups, strict=True):
            for group, fresh in zip(optimizer.param_groups, groups, strict=True):
                group.update(fresh)
        for scheduler, rates in zip(_schedules(trainer), self._rates, strict=True):
            scheduler.base_lrs = rates
            for group, rate, part in zip(
                scheduler.optimizer.param_groups, rates, scheduler.lr_lambdas, strict=True
            ):
                group["lr"] = rate * part(scheduler.last_epoch)
            scheduler._last_lr = [group["lr"] for group in scheduler.optimizer.param_groups]


def _schedules(trainer: Trainer) -> list[Any]:
    """Those that say the rate of any step; others, of the user's own, go on from their state."""
    schedules = [config.scheduler for config in trainer.lr_scheduler_configs]
    return [schedule for schedule in schedules if isinstance(schedule, LambdaLR)]
