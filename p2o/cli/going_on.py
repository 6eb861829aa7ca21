"""Which checkpoint a run goes on from, and whether it is still the same run."""

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from p2o.errors import OtherRun, UserError, located
from p2o.running.checkpoint_files import check_whole, newest_checkpoint, read_header
from p2o.running.distributed import starting_rank
from p2o.running.resuming import PLACE, RECORD, Settings
from p2o.running.secrets import without_secrets

logger = logging.getLogger(__name__)

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
LEFT = ("checkpoints/*.ckpt", "summary.json")
"""What a run leaves that can be gone on with, or has ended."""
FIXED = ("optimizer._target_", "scheduler._target_")
"""Settings whose state in a checkpoint nothing else can take over."""


def find_checkpoint(config: DictConfig, folder: Path) -> Path | None:
    """The checkpoint that the configuration asks for, whole and of this run; None for a new run.

    Raises:
        UserError: There is none, it is damaged, or it comes from another configuration; or the
            folder holds another run.
    """
    if config.resume is not None:
        with located(f"resume={config.resume}"):
            path = newest_checkpoint(folder / "checkpoints")
    else:
        path = None if config.ckpt_path is None else Path(str(config.ckpt_path))
        if path is None or folder.resolve() not in path.resolve().parents:
            _refuse_used(folder)
    if path is None:
        return None
    with given(config):
        header = read_header(path)
        check_whole(path)
    _check_same(path, header, settings_of(config), bool(config.resume_changed))
    return path


def _refuse_used(folder: Path) -> None:
    """Keep a new run from writing over another one; rank 0 does."""
    if starting_rank() == 0 and any(next(folder.glob(each), None) for each in LEFT):
        raise UserError(
            f"{folder}: there is a run in it; resume=auto goes on with that, or give another folder"
        )


@contextmanager
def given(config: DictConfig) -> Iterator[None]:
    """Say by which key a checkpoint was given, in front of what is wrong with it.

    Args:
        config: With ``ckpt_path``, which is null where a run looks for its checkpoint itself.

    Raises:
        UserError: What was raised inside, which begins with the checkpoint's path.
    """
    try:
        yield
    except UserError as error:
        raise UserError(f"ckpt_path={error}" if config.ckpt_path else str(error)) from error


@contextmanager
def meant() -> Iterator[None]:
    """Say how to go on with a checkpoint of a run with other settings or data.

    Raises:
        UserError: A checkpoint was refused inside, because nobody has said that it is meant.
    """
    try:
        yield
    except OtherRun as error:
        raise UserError(f"{error}, or resume_changed=true to go on with the new ones") from error


def settings_of(config: DictConfig) -> dict[str, str]:
    """The settings that make a run what it is."""
    content = without_secrets(OmegaConf.to_container(config, resolve=False))
    return {key: value for key, value in _flatten(content, "") if _is_bound(key)}


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
