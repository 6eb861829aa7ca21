"""Which checkpoint a run goes on from, and whether it is still the same run."""

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from omegaconf import DictConfig, OmegaConf
from torch.optim.lr_scheduler import LambdaLR

from p2o.errors import UserError
from p2o.running.checkpoint_files import check_whole, newest_checkpoint, read_header
from p2o.running.frozen import FROZEN, check_frozen, frozen_names
from p2o.running.secrets import without_secrets

logger = logging.getLogger(__name__)

RECORD = "configuration"
"""Key of a checkpoint under which the settings that made it stand."""
PLACE = "within_epoch"
"""Key under which a run that has ended within an epoch has the state to go on from there."""
FREE = (
    *("ckpt_path", "resume", "resume_changed", "plan", "planning", "data_root", "save_policy"),
    *("logger", "callbacks", "checkpoint", "selection", "rollout", "trainer", "records"),
    *("verifier_guard.max_error_share", "verifier_guard.window"),
    *("module.chunk_tokens", "module.pass_tokens", "module.compile_backend"),
    *("model.attention", "model.gradient_checkpointing"),
)
"""Settings of how a run is carried out; any other is a part of what it is."""
BOUND = tuple(
    f"trainer.{name}"
    for name in (
        *("accumulate_grad_batches", "precision"),
        *("gradient_clip_val", "gradient_clip_algorithm", "limit_train_batches"),
    )
)
"""Settings among those that belong to what a run is nevertheless."""
WHEREABOUTS = (
    *("base_url", "url", "urls", "headers", "api_key", "api_key_variable"),
    *("seconds", "attempts", "pause", "concurrency", "workers"),
    # What a verifier asks for counts as the suffix that is made of it.
    "_asks_",
)
"""Last parts of keys that tell where a service is and how it is asked: free, and never recorded."""
BATCHES = ("data", "algorithm.sampling_rounds", "trainer.accumulate_grad_batches")
"""Settings that an epoch that has begun cannot change."""
FIXED = ("optimizer._target_", "scheduler._target_")
"""Settings whose state in a checkpoint nothing else can take over."""

Settings = Mapping[str, str]
"""Values, as JSON, by dotted key."""


def find_checkpoint(config: DictConfig, folder: Path) -> Path | None:
    """The checkpoint that the configuration asks for, whole and of this run; None for a new run.

    Raises:
        UserError: There is none, it is damaged, or it comes from another configuration.
    """
    if config.resume is not None:
        path = newest_checkpoint(folder / "checkpoints")
    else:
        path = None if config.ckpt_path is None else Path(str(config.ckpt_path))
    if path is None:
        return None
    header = read_header(path)
    check_whole(path)
    _check_same(path, header, settings_of(config), bool(config.resume_changed))
    return path


def settings_of(config: DictConfig) -> dict[str, str]:
    """The settings that make a run what it is."""
    content = without_secrets(OmegaConf.to_container(config, resolve=False))
    return {key: value for key, value in _flatten(content, "") if _is_bound(key)}


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
                f"ckpt_path={path}: of another model: {name} is {_shape(found.get(name))} there "
                f"and {_shape(wanted.get(name))} in model.path"
            )
    check_frozen(f"ckpt_path={path}", header.get(FROZEN), frozen)


def _shapes(state: Mapping[str, torch.Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(value.shape) for name, value in state.items()}


def _shape(shape: tuple[int, ...] | None) -> str:
    return "missing" if shape is None else str(list(shape))


def _check_same(
    path: Path, header: Mapping[str, Any], now: Settings, changes_allowed: bool
) -> None:
    then = header.get(RECORD, {})
    changed = [key for key in sorted(then.keys() | now.keys()) if then.get(key) != now.get(key)]
    if not changed:
        return
    # A part of another kind says enough; its settings are others anyway.
    parts = [key.removesuffix("_target_") for key in changed if key.endswith("._target_")]
    named = [
        key
        for key in changed
        if key.endswith("._target_") or not any(key.startswith(part) for part in parts)
    ]
    words = [f"{key} was {then.get(key, 'not set')}, is {now.get(key, 'not set')}" for key in named]
    more = f"; and {len(words) - 5} more" if len(words) > 5 else ""
    differences = "; ".join(words[:5]) + more
    if not changes_allowed:
        raise UserError(
            f"{path}: written with other settings ({differences}); give those, or "
            "resume_changed=true to go on with the new ones"
        )
    for keys, why in ((FIXED, "its state cannot be taken over"), *_if_within_epoch(header)):
        for key in changed:
            if key.startswith(keys):
                raise UserError(f"{path}: {key} was {then.get(key)}; {why}")
    logger.warning("%s: going on with other settings: %s", path, differences)


def _if_within_epoch(header: Mapping[str, Any]) -> list[tuple[tuple[str, ...], str]]:
    loops = header.get(PLACE, header["loops"])
    epochs = loops["fit_loop"]["epoch_progress"]["current"]
    why = "it can change only from the end of an epoch on, and this checkpoint is from within one"
    return [(BATCHES, why)] if epochs["processed"] < epochs["ready"] else []


def _flatten(node: Any, prefix: str) -> list[tuple[str, str]]:
    if not isinstance(node, dict) or not node:
        return [(prefix, json.dumps(node))]
    parts = [
        _flatten(value, f"{prefix}.{name}" if prefix else name) for name, value in node.items()
    ]
    return [pair for part in parts for pair in part]


def _is_bound(key: str) -> bool:
    if key in BOUND:
        return True
    names = key.split(".")
    free = any(".".join(names[: part.count(".") + 1]) == part for part in FREE)
    return not free and not any(name in WHEREABOUTS for name in names)


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
