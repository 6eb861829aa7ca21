"""Where the configuration files are, and what they may ask."""

from importlib.resources import files
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from p2o.configuration.sweeps import job_folder, sweep_name

CONFIG_NAME = "train"
"""The primary configuration of ``p2o-train``."""


def if_given(part: Any, given: Any, otherwise: Any) -> Any:
    """One of two values: the first where a part is chosen, the second where it is null."""
    return otherwise if part is None else given


# For the configuration's own use: ${p2o.job_folder:...}, ${p2o.if_given:${model.adapter},1,2}
OmegaConf.register_new_resolver("p2o.job_folder", job_folder, replace=True)
OmegaConf.register_new_resolver("p2o.if_given", if_given, replace=True)
# ${p2o.sweep_name:${hydra:mode},${hydra:runtime.output_dir}}
OmegaConf.register_new_resolver("p2o.sweep_name", sweep_name, replace=True)


def conf_directory() -> Path:
    """The configuration files: inside an installed wheel, or beside the package in a checkout."""
    package = Path(str(files("p2o")))
    inside = package / "conf"
    return inside if inside.is_dir() else package.parent / "conf"
