"""Parts that need no policy are made once and thrown away, to hear what they refuse.

Their classes check more than type hints can say. A policy may take minutes to load.
"""

from functools import partial
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback
from lightning.pytorch.loggers import Logger
from omegaconf import DictConfig, OmegaConf
from torch import nn

from p2o.configuration.build import build, build_all, call, refuse_missing
from p2o.errors import UserError, located
from p2o.hints.least_reliance import LeastReliance
from p2o.reflection import Phrasebook
from p2o.rollout.engine import check_training_sampling
from p2o.world.ancestry import is_of_the_world

ALONE = (
    *("sampling.train", "sampling.evolution", "sampling.held_out"),
    *("algorithm.advantages", "algorithm.loss", "algorithm.kl", "algorithm.overlong"),
    *("distillation", "baseline", "environment", "data.source", "data.contamination"),
)
"""Keys of parts that need nothing else."""


def rehearse(config: DictConfig) -> None:
    """Make parts of a run.

    Raises:
        UserError: One of them refuses what it is given.
    """
    made = {key: build(OmegaConf.select(config, key), key) for key in ALONE}
    check_training_sampling(made["sampling.train"])
    check_there = getattr(made["data.source"], "check_there", None)
    if check_there is not None:
        with located("data.source"):
            check_there()
    # Made of the policy alone, so what it lacks has to be seen from outside.
    refuse_missing(config.rollout, "rollout")
    _rehearse_optimizer(config)
    callbacks = [build(config.mining, "mining")]
    if config.evolution is not None:
        reflection = build(config.reflection, "reflection")
        assigner = build(config.assignment, "assignment")
        if isinstance(assigner, LeastReliance) and not made["distillation"].needs_log_probs:
            raise UserError(
                "assignment=least_reliance: this distillation does not score responses in both "
                "contexts, so that reliance is not known; take distillation=tapered"
            )
        evolver = build(
            config.evolution.evolver,
            "evolution.evolver",
            reflection=reflection,
            assigner=assigner,
        )
        # Not every search asks for it.
        if getattr(evolver, "reflection", None) is reflection:
            _check_phrasebook(reflection, str(config.model.path))
        callbacks.append(build(config.evolution.callback, "evolution.callback", evolver=evolver))
    callbacks += build_all(config.callbacks, "callbacks", Callback)
    callbacks.append(build(config.checkpoint, "checkpoint", dirpath=Path("checkpoints")))
    loggers = build_all(config.logger, "logger", Logger)
    build(
        config.trainer,
        "trainer",
        callbacks=callbacks,
        logger=loggers,
        default_root_dir=Path(),
        plugins=[],
    )


def _check_phrasebook(reflection: Any, model: str) -> None:
    """Refuse the phrases of the embedded world for a policy that has never heard of them."""
    embedded = isinstance(reflection, Phrasebook) and reflection.embedded
    if embedded and not is_of_the_world(model):
        raise UserError(
            f"model.path={model}: reflection=phrasebook has phrases of the embedded world alone; "
            "add reflection=self, reflection=teacher, or reflection.path=FILE with phrases of yours"
        )


def _rehearse_optimizer(config: DictConfig) -> None:
    """Optimisers refuse rates and the like when they are given parameters."""
    parameters: Any = [("matrix", torch.zeros(2, 2)), ("vector", torch.zeros(2))]
    named = [(name, nn.Parameter(value)) for name, value in parameters]
    make = build(config.optimizer, "optimizer")
    optimizer = call(partial(make, named), "optimizer", config.optimizer.get("_target_"))
    make = build(config.scheduler, "scheduler")
    if make is not None:
        name = config.scheduler.get("_target_")
        call(partial(make, optimizer), "scheduler", name, num_training_steps=1000)
