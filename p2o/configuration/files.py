"""Where the configuration files are, and what they may ask."""

from importlib.resources import files
from pathlib import Path

from omegaconf import OmegaConf

from p2o.configuration.sweeps import job_folder

CONFIG_NAME = "train"
"""The primary configuration of ``p2o-train``."""

# ${p2o.job_folder:...}
OmegaConf.register_new_resolver("p2o.job_folder", job_folder, replace=True)


def conf_directory() -> Path:
    """The configuration files: inside an installed wheel, or beside the package in a checkout."""
    package = Path(str(files("p2o")))
    inside = package / "conf"
    return inside if inside.is_dir() else package.parent / "conf"
