"""What a training leaves behind: the policy as a folder, its hints, a summary, a report."""

import logging
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from lightning.pytorch.loggers import WandbLogger
from omegaconf import DictConfig

from p2o.cli.training import Training
from p2o.errors import UserError
from p2o.hints.pool_file import NAME, Origin, PoolFile
from p2o.hints.pooling import gather_hints, read_epochs, write_pool
from p2o.policy.adapters import save_policy
from p2o.policy.sharding import is_sharded, readable_weights
from p2o.records.uploading import upload
from p2o.report.summary import print_report, print_ways_on, write_summary
from p2o.rollout.probe import policy_likeness
from p2o.rollout.weights import whole_copy
from p2o.running.secrets import hide
from p2o_callbacks import PromptEvolution

logger = logging.getLogger(__name__)

GOING_ON = (
    "more trainer.max_epochs or trainer.max_steps, or resume_changed=true where a callback "
    "ended it, would go on"
)
"""How a run that has finished goes on."""


def save_trained(config: DictConfig, training: Training, folder: Path) -> None:
    """Write the policy to the run's folder ``policy``. Collective: shards are put together.

    Args:
        config: Of the run.
        training: It has ended.
        folder: Of the run.

    Raises:
        UserError: The policy cannot be saved.
    """
    model, policy = training.sampler.model, training.module.policy
    sharded = is_sharded(model)
    with readable_weights(policy):
        whole = whole_copy(model) if sharded else model
    kind = getattr(training.trainer.strategy, "compute_dtype", None)
    likeness = policy_likeness(policy, kind) if sharded else None
    if training.trainer.is_global_zero:
        merged = config.save_policy == "merged"
        save_policy(whole, training.sampler.tokenizer, folder / "policy", merged, likeness)


def tell(
    config: DictConfig, training: Training, folder: Path, collapse: Exception | None
) -> dict[str, Any]:
    """Write the hints, then the summary, which says that a run has ended, and show it.

    The upload comes last, because a run has ended even if its upload fails.

    Args:
        config: Of the run.
        training: It has ended.
        folder: Of the run.
        collapse: What stopped it before its end, if anything did.
    """
    _save_pool(config, training)
    summary = write_summary(folder, config, training.data, training.callbacks, collapse)
    if training.trainer.is_global_zero:
        print_report(summary, folder)
        # A sweep says at its end what may be done; a job of one with more epochs is another job.
        alone = HydraConfig.get().mode != RunMode.MULTIRUN
        if alone:
            print_ways_on(summary, folder)
        if not training.final.trained:
            print(f"This run had finished before{f'; {GOING_ON}' if alone else ''}.")
    _upload(training, folder)
    return summary


def _upload(training: Training, folder: Path) -> None:
    """Give Weights & Biases, where a run is logged there, what is on record; tell if it fails."""
    if not training.trainer.is_global_zero:
        return
    for each in training.trainer.loggers:
        if isinstance(each, WandbLogger):
            try:
                upload(each.experiment, folder, _pool_file(training))
            except UserError as error:
                logger.warning("%s; all of it is in the run's folder", hide(str(error)))


def _pool_file(training: Training) -> Path | None:
    """Where the hints of a run are written; None without a search."""
    evolution = next((c for c in training.callbacks if isinstance(c, PromptEvolution)), None)
    return None if evolution is None else evolution.folder(training.trainer) / NAME


def _save_pool(config: DictConfig, training: Training) -> None:
    """Write ``pool.json`` beside the pools of epochs, where there was a search."""
    file = _pool_file(training)
    if file is None or not training.trainer.is_global_zero:
        return
    source = config.data.source
    pool = PoolFile(
        model=Origin(name=config.model.path, sha256=training.origin),
        data=Origin(
            name=str(source.get("path") or source.get("_target_")),
            sha256=training.data.train_digest(),
        ),
        hints=gather_hints(read_epochs(file.parent)),
    )
    write_pool(file, pool)
