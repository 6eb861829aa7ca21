"""How parts are made of a configuration, with errors in one line."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from lightning.fabric.utilities.exceptions import MisconfigurationException
from omegaconf import DictConfig, ListConfig
from omegaconf.errors import InterpolationResolutionError

from p2o.configuration.files import CONFIG_NAME as CONFIG_NAME
from p2o.configuration.files import conf_directory as conf_directory
from p2o.configuration.validation import OWN, find_target, part_problems, refuse, refuse_missing
from p2o.constraints import arguments_of
from p2o.errors import ARGUMENT, UserError, first_line, located
from p2o_callbacks.errors import ConfigurationError

USER_ERRORS = (UserError, ConfigurationError, MisconfigurationException)
"""What a command-line program shows in one line: p2o's own errors, the callbacks', Lightning's."""


def build(
    node: DictConfig | None, key: str, *, offered: Mapping[str, Any] | None = None, **more: Any
) -> Any:
    """Make the object that a configuration node describes by its ``_target_``; None of None.

    What the target is given is checked against its type hints first. A node with ``_partial_``
    gives a function that makes the object. Nodes inside are made first; lists and mappings reach
    the target as plain ones.

    Args:
        node: The configuration.
        key: Where it stands, for messages.
        offered: Arguments known only at run time, of which the target gets those that it names.
        more: The same, but it gets all of them. The node must have none of either.

    Raises:
        UserError: A value does not fit, the node has what is not its to choose, or the target
            cannot be had or refuses its arguments.
    """
    if node is None:
        return None
    refuse(part_problems(node, key))
    wanted = {name: value for name, value in (offered or {}).items() if takes(node, key, name)}
    return _make(node, key, {**more, **wanted})


def takes(node: DictConfig, key: str, argument: str) -> bool:
    """Whether the target of a node takes an argument of a name; a class passes on to its bases.

    Args:
        node: The configuration.
        key: Where it stands, for messages.
        argument: The name.
    """
    found = arguments_of(find_target(node, key))
    return argument in found.hints or found.more


def build_all(nodes: DictConfig, key: str, kind: type = object) -> list[Any]:
    """Make the objects of a node's children, those left out by ``null`` not.

    Args:
        nodes: The configuration.
        key: Where it stands, for messages.
        kind: What the objects have to be.

    Raises:
        UserError: See `build`; or an object is of another kind.
    """
    made = []
    for name, node in nodes.items():
        part = build(node, f"{key}.{name}")
        if part is None and node is None:
            continue
        if not isinstance(part, kind):
            target = node.get("_target_")
            raise UserError(
                f"{key}.{name}: {target} makes no {kind.__name__}; name a class that is one"
            )
        made.append(part)
    return made


def call(
    make: Callable[..., Any],
    key: str,
    name: str | None = None,
    unnamed: Sequence[Any] = (),
    **arguments: Any,
) -> Any:
    """Call what makes a part, with errors in one line.

    Args:
        make: A class or function.
        key: Where in the configuration its arguments stand.
        name: What to call it in messages; its own name when left out.
        unnamed: Arguments that are passed on by their places.
        arguments: Passed on by name.

    Raises:
        UserError: It does not take these arguments, or refuses them.
    """
    try:
        with located(key, ConfigurationError):
            return _called(make, unnamed, arguments)
    except Exception as error:
        # Those of a library that may not be installed are known by its name alone.
        own = type(error).__module__.partition(".")[0] in LIBRARIES
        if not own and not isinstance(error, REFUSALS):
            raise
        name = name or getattr(make, "__name__", str(make))
        raise UserError(f"{key}: cannot make {name} ({first_line(error)})") from error


REFUSALS = (
    *(TypeError, ValueError, ArithmeticError, LookupError, RuntimeError, OSError, ImportError),
    MisconfigurationException,
)
"""How classes that are not p2o's refuse what they are given."""
LIBRARIES = ("mlflow",)
"""Those that refuse what they are given with errors of their own."""


def _called(make: Any, unnamed: Sequence[Any], arguments: Mapping[str, Any]) -> Any:
    """What a call gives; a class that knows nothing of p2o refuses an argument with a `ValueError`.

    Raises:
        UserError: That begins as p2o's own messages do, with the name of an argument.
    """
    try:
        return make(*unnamed, **arguments)
    except ValueError as error:
        said = first_line(error)
        named = ARGUMENT.match(said)
        if named is None or named[1] not in _names_of_arguments(make, arguments):
            raise
        raise UserError(said) from error


def _names_of_arguments(make: Any, arguments: Mapping[str, Any]) -> set[str]:
    """Of those that are given, and of those that could be."""
    if isinstance(make, partial):
        return _names_of_arguments(make.func, {**make.keywords, **arguments})
    return {*arguments, *arguments_of(make).hints}


def _make(value: Any, key: str, more: dict[str, Any]) -> Any:
    if isinstance(value, ListConfig):
        return [_make(child, f"{key}.{index}", {}) for index, child in enumerate(value)]
    if not isinstance(value, DictConfig):
        return value
    if "_target_" not in value:
        return {name: _make(child, f"{key}.{name}", {}) for name, child in value.items()}
    for name in map(str, value):
        if name in more:
            raise UserError(f"{key}.{name}: is not to be chosen here; leave it out")
    given = {**_children(value, key), **more}
    make = partial(find_target(value, key), **given)
    return make if value.get("_partial_") else call(make, key, value["_target_"])


def _children(node: DictConfig, key: str) -> dict[str, Any]:
    names = [name for name in map(str, node) if name not in OWN]
    refuse_missing(node, key, names)
    return {name: _make(_value(node, name, key), f"{key}.{name}", {}) for name in names}


def _value(node: DictConfig, name: str, key: str) -> Any:
    try:
        return node[name]
    # A reference that leads nowhere.
    except InterpolationResolutionError as error:
        raise UserError(f"{key}.{name}: {first_line(error)}") from error
