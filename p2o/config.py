"""Configuration: where the files are, how parts are made of them, and errors in one line."""

import difflib
from collections.abc import Callable, Sequence
from functools import partial
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
from lightning.fabric.utilities.exceptions import MisconfigurationException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import InterpolationResolutionError

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

    A node with ``_partial_`` gives a function that makes it. Run-time arguments do not pass
    through Hydra, which would turn a dataclass among them into a configuration.

    Args:
        node: The configuration.
        key: Where it stands, for messages.
        more: Arguments known only at run time.

    Raises:
        UserError: The node names something that cannot be imported or called like that.
    """
    if node is None:
        return None
    for name in map(str, node):
        _check_value(node, name, key, given=name in more)
    try:
        make = partial(instantiate(node, _partial_=True, _convert_="all"), **more)
    except InstantiationException as error:
        cause = error.__cause__
        if isinstance(cause, USER_ERRORS):
            raise _with_key(cause, key) from error
        raise _cannot_make(node, key, cause or error) from error
    return make if node.get("_partial_") else call(make, key, str(node.get("_target_")))


def build_all(nodes: DictConfig, key: str) -> list[Any]:
    """Make the objects of a node's children, those left out by ``null`` not."""
    made = [build(node, f"{key}.{name}") for name, node in nodes.items()]
    return [part for part in made if part is not None]


def call(make: Callable[..., Any], key: str, name: str | None = None, **arguments: Any) -> Any:
    """Call what makes a part, with errors in one line.

    Args:
        make: A class or function.
        key: Where in the configuration its arguments stand.
        name: What to call it in messages; its own name when left out.
        arguments: Passed on.

    Raises:
        UserError: It does not take these arguments, or refuses them.
    """
    try:
        return make(**arguments)
    except USER_ERRORS as error:
        raise _with_key(error, key) from error
    except (TypeError, ValueError, RuntimeError, OSError, MisconfigurationException) as error:
        name = name or getattr(make, "__name__", str(make))
        raise UserError(f"{key}: cannot make {name} ({_first_line(error)})") from error


def _check_value(node: DictConfig, name: str, key: str, given: bool) -> None:
    if OmegaConf.is_missing(node, name) and not given:
        raise UserError(f"{key}.{name}: no value and no default; give it a value")
    try:
        node.get(name)
    # An interpolation that leads nowhere; Hydra's own error would not say which.
    except InterpolationResolutionError as error:
        raise UserError(f"{key}.{name}: {_first_line(error)}") from error


def _with_key(error: BaseException, key: str) -> UserError:
    """The callbacks do not know where in the configuration they stand; p2o's own parts do."""
    return error if isinstance(error, UserError) else UserError(f"{key}: {error}")


def _cannot_make(node: DictConfig, key: str, error: BaseException) -> UserError:
    return UserError(f"{key}: cannot make {node.get('_target_')} ({_first_line(error)})")


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def check_overrides(arguments: Sequence[str], name: str = CONFIG_NAME) -> None:
    """Compose the configuration as Hydra would, to say in one line what is wrong with it.

    Args:
        arguments: Of the command line.
        name: Of the primary configuration.

    Raises:
        UserError: A key, a group or one of its options does not exist.
    """
    bare = [a for a in arguments if a.find("=") < 1 and not a.startswith("~")]
    if bare:
        raise UserError(f"'{bare[0]}' is no setting; write key=value, for example seed=1")
    try:
        with initialize_config_dir(version_base="1.3", config_dir=str(conf_directory())):
            compose(name, overrides=list(arguments), return_hydra_config=True)
    except MissingConfigException as error:
        raise UserError(_missing_option(error)) from error
    except OverrideParseException as error:
        raise UserError(f"cannot read '{error.override}': write key=value") from error
    except ConfigCompositionException as error:
        raise UserError(_bad_key(str(error), arguments, name)) from error
    # Hydra's own, for a group that is given something other than a name.
    except ValueError as error:
        raise UserError(f"{' '.join(arguments)}: {error}") from error


def _missing_option(error: MissingConfigException) -> str:
    missing, options = str(error.missing_cfg_file), list(error.options or [])
    group, _, option = missing.rpartition("/")
    if not options:
        options = sorted(path.stem for path in (conf_directory() / group).glob("*.yaml"))
    return f"{group}={option}: no such option; there are {', '.join(options)}"


def _bad_key(message: str, overrides: Sequence[str], name: str) -> str:
    first = message.splitlines()[0]
    bad = next((o for o in overrides if f"'{o.partition('=')[0].lstrip('+~')}'" in first), None)
    if bad is None:
        return first
    key = bad.partition("=")[0].lstrip("+~")
    with initialize_config_dir(version_base="1.3", config_dir=str(conf_directory())):
        known = list(_keys(compose(name)))
    groups = [path.name for path in conf_directory().iterdir() if path.is_dir()]
    leaf = key.rpartition(".")[2]
    elsewhere = [other for other in known if other.rpartition(".")[2] == leaf]
    close = elsewhere[:3] or difflib.get_close_matches(key, sorted({*known, *groups}))
    hint = f"did you mean {', '.join(close)}?" if close else f"see p2o-{name} --cfg job"
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
