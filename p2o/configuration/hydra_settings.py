"""Hydra's own settings, looked at before it acts on them."""

import logging

from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import InterpolationToMissingValueError, OmegaConfBaseException

from p2o.errors import UserError, first_line

RUN, SWEEP = ("run.dir", "job.name"), ("sweep.dir", "sweep.subdir", "job.name")
"""Keys that may be interpolations."""


def check_hydra(config: DictConfig) -> None:
    """Refuse what Hydra would answer with a traceback.

    Args:
        config: With Hydra's own under ``hydra``.

    Raises:
        UserError: Names the key.
    """
    texts = SWEEP if config.hydra.mode == RunMode.MULTIRUN else RUN
    for key in (f"hydra.{name}" for name in texts):
        try:
            OmegaConf.select(config, key)
        # Hydra itself fills in what is missing so far.
        except InterpolationToMissingValueError:
            continue
        except OmegaConfBaseException as error:
            raise UserError(f"{key}: {first_line(error)}") from error
    key = "hydra.job_logging.root.level"
    level = OmegaConf.select(config, key)
    known = logging.getLevelNamesMapping()
    if isinstance(level, str) and level not in known:
        raise UserError(f"{key}={level}: no such level; there are {', '.join(known)}")
