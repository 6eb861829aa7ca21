"""Hints for what no single target of a configuration takes."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, get_args, get_origin

from p2o.constraints import PART, alternatives, describe


class Part:
    """Hint of a key whose value is a part: a mapping with ``_target_``, checked against that."""


class Section:
    """Base of dataclasses that describe a mapping which no single target takes."""


@dataclass(frozen=True)
class Takes:
    """Metadata of a hint: what is in the value has to fit what a callable takes.

    Attributes:
        target: The callable; a `Section` behind `Part` says more than the part's own target.
        known: Arguments that are not the configuration's to give.
    """

    target: Callable[..., Any]
    known: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Makes:
    """Metadata of a part's hint: what its class has to have.

    Attributes:
        kind: A class or protocol, whose methods it is to have.
    """

    kind: type

    def lacks(self, target: Callable[..., Any]) -> list[str]:
        """Methods that a class lacks.

        Of a function it is not known what it makes, and a class may pass on what it is asked for.
        """
        if not inspect.isclass(target) or hasattr(target, "__getattr__"):
            return []
        methods = [name for name, _ in inspect.getmembers(self.kind, inspect.isfunction)]
        return [name for name in methods if name[0] != "_" and not hasattr(target, name)]


def made(hint: Any) -> Makes | None:
    """What a hint of a part asks its class for."""
    metadata = get_args(hint)[1:] if is_part(hint) else ()
    return next((each for each in metadata if isinstance(each, Makes)), None)


def is_part(hint: Any) -> bool:
    """Whether a hint asks for a part."""
    return hint is Part or (get_origin(hint) is Annotated and get_args(hint)[0] is Part)


def taken(hint: Any) -> Takes | None:
    """Whose arguments a hint asks for."""
    if get_origin(hint) is not Annotated:
        return None
    return next((each for each in get_args(hint)[1:] if isinstance(each, Takes)), None)


def holds_parts(hint: Any) -> bool:
    """Whether a hint asks for a mapping of parts or sections by name."""
    if get_origin(hint) is not Mapping:
        return False
    members = alternatives(get_args(hint)[1])
    return any(is_part(member) or taken(member) for member in members)


def words(hint: Any) -> str:
    """A hint in words that go behind "give"; see `p2o.constraints.describe`."""
    members = alternatives(hint)
    if any(map(is_part, members)):
        said = PART
    elif any(taken(m) or holds_parts(m) for m in members):
        said = "a mapping, {name: value}"
    else:
        return describe(hint)
    return f"{said}, or null" if type(None) in members else said
