"""Configuration: where the files are, how parts are made of them, and errors in one line."""

import difflib
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.errors import (
    ConfigCompositionException,
    InstantiationException,
    MissingConfigException,
    OverrideParseException,
)
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from p2o.errors import UserError
from p2o_callbacks.errors import ConfigurationError

USER_ERRORS = (UserError, ConfigurationError)
"""What a command-line program shows in one line: p2o's own errors and the callbacks'."""
CONFIG_NAME = "train"
"""The primary configuration of ``p2o-train``."""


def conf_directory() -> Path:
    """The configuration files: inside an installed wheel, or beside the package in a checkout."""
    package = Path(str(files("p2o")))
    inside = package / "conf"
    return inside if inside.is_dir() else package.parent / "conf"


def build(node: DictConfig | None, key: str, **more: Any) -> Any:
    """Make the object that a configuration node describes by its ``_target_``; None of None.

    Args:
        node: The configuration.
        key: Where it stands, for messages.
        more: Arguments known only at run time.

    Raises:
        UserError: The node names something that cannot be imported or called like that.
    """
    if node is None:
        return None
    try:
        return instantiate(node, **more)
    # A value that is mandatory and missing, or an interpolation that leads nowhere.
    except OmegaConfBaseException as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{error.full_key or key}: {reason}; give it a value") from error
    except InstantiationException as error:
        cause = error.__cause__
        if isinstance(cause, UserError):
            raise cause from None
        # The callbacks do not know where in the configuration they stand.
        if isinstance(cause, ConfigurationError):
            raise UserError(f"{key}: {cause}") from error
        reason = str(cause or error).splitlines()[0]
        raise UserError(f"{key}: cannot make {node.get('_target_')} ({reason})") from error


def check_overrides(arguments: Sequence[str]) -> None:
    """Compose the configuration as Hydra would, to say in one line what is wrong with it.

    Raises:
        UserError: A key, a group or one of its options does not exist.
    """
    bare = [a for a in arguments if a.find("=") < 1 and not a.startswith("~")]
    if bare:
        raise UserError(f"'{bare[0]}' is no setting; write key=value, for example seed=1")
    try:
        with initialize_config_dir(version_base="1.3", config_dir=str(conf_directory())):
            compose(CONFIG_NAME, overrides=list(arguments), return_hydra_config=True)
    except MissingConfigException as error:
        raise UserError(_missing_option(error)) from error
    except OverrideParseException as error:
        raise UserError(f"cannot read '{error.override}': write key=value") from error
    except ConfigCompositionException as error:
        raise UserError(_bad_key(str(error), arguments)) from error
    # Hydra's own, for a group that is given something other than a name.
    except ValueError as error:
        raise UserError(f"{' '.join(arguments)}: {error}") from error


def _missing_option(error: MissingConfigException) -> str:
    missing, options = str(error.missing_cfg_file), list(error.options or [])
    group, _, option = missing.rpartition("/")
    if not options:
        options = sorted(path.stem for path in (conf_directory() / group).glob("*.yaml"))
    return f"{group}={option}: no such option; there are {', '.join(options)}"


def _bad_key(message: str, overrides: Sequence[str]) -> str:
    first = message.splitlines()[0]
    bad = next((o for o in overrides if f"'{o.partition('=')[0].lstrip('+~')}'" in first), None)
    if bad is None:
        return first
    key = bad.partition("=")[0].lstrip("+~")
    with initialize_config_dir(version_base="1.3", config_dir=str(conf_directory())):
        known = list(_keys(compose(CONFIG_NAME)))
    groups = [path.name for path in conf_directory().iterdir() if path.is_dir()]
    leaf = key.rpartition(".")[2]
    elsewhere = [name for name in known if name.rpartition(".")[2] == leaf]
    close = elsewhere[:3] or difflib.get_close_matches(key, sorted({*known, *groups}))
    hint = f"did you mean {', '.join(close)}?" if close else "see p2o-train --cfg job"
    return f"{key}: no such key; {hint}"


def _keys(node: DictConfig, prefix: str = "") -> Sequence[str]:
    keys: list[str] = []
    for name in map(str, node):
        path = f"{prefix}{name}"
        keys.append(path)
        if not OmegaConf.is_missing(node, name) and not OmegaConf.is_interpolation(node, name):
            child = node[name]
            if isinstance(child, DictConfig):
                keys += _keys(child, f"{path}.")
    return keys
