"""Hints for what no single target of a configuration takes."""

import importlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, get_args, get_origin

from p2o.constraints import PART, alternatives, arguments_of, describe


class Part:
    """Hint of a key whose value is a part: a mapping with ``_target_``, checked against that."""


class Section:
    """Base of dataclasses that describe a mapping which no single target takes."""


@dataclass(frozen=True)
class Takes:
    """Metadata of a hint: what is in the value has to fit what a callable takes.

    Attributes:
        given: The callable, or its full name, which is imported where the callable is asked for; a
            `Section` behind `Part` says more than the part's own target.
        known: Arguments that are not the configuration's to give.
    """

    given: Callable[..., Any] | str
    known: frozenset[str] = frozenset()

    @property
    def target(self) -> Callable[..., Any]:
        """The callable."""
        return _imported(self.given)


@dataclass(frozen=True)
class Makes:
    """Metadata of a part's hint: what is made has to be.

    Attributes:
        given: A class, or a protocol whose methods it is to have; or the full name of one, which is
            imported where the class is asked for.
    """

    given: type | str

    @property
    def kind(self) -> type:
        """The class or protocol."""
        return _imported(self.given)

    def objection(self, target: Callable[..., Any]) -> str | None:
        """Why a class is another one, in words; None where it is not.

        Of a function it is not known what it makes, and a class may pass on what it is asked for.
        """
        if not inspect.isclass(target):
            return None
        if not self._is_protocol:
            return None if issubclass(target, self.kind) else self._no_subclass()
        return None if hasattr(target, "__getattr__") else self._without_methods(target)

    def objection_to(self, part: Any) -> str | None:
        """Why a part that has been made is another one, in words; None where it is not."""
        if not self._is_protocol:
            return None if isinstance(part, self.kind) else self._no_subclass()
        return self._without_methods(part)

    @property
    def _is_protocol(self) -> bool:
        return getattr(self.kind, "_is_protocol", False)

    def _no_subclass(self) -> str:
        name = self.kind.__name__
        return f"is no {name}; name a subclass of {self.kind.__module__}.{name}"

    def _without_methods(self, found: Any) -> str | None:
        methods = [method for method, _ in inspect.getmembers(self.kind, inspect.isfunction)]
        lacks = [method for method in methods if method[0] != "_" and not hasattr(found, method)]
        name = self.kind.__name__
        return f"is no {name}; name a class with {', '.join(lacks)}" if lacks else None


def _imported(given: Any) -> Any:
    """What a full name stands for; anything else is that itself."""
    if not isinstance(given, str):
        return given
    module, _, name = given.rpartition(".")
    return getattr(importlib.import_module(module), name)


def made(hint: Any) -> Makes | None:
    """What a hint of a part asks its class for."""
    metadata = get_args(hint)[1:] if is_part(hint) else ()
    return next((each for each in metadata if isinstance(each, Makes)), None)


def makes(settings: type[Section], key: str) -> Makes | None:
    """What the part at a key of a configuration has to be; None where that is not said."""
    hint: Any = Annotated[Mapping, Takes(settings)]
    for name in key.split("."):
        inner = next(filter(None, map(taken, alternatives(hint))), None)
        hint = None if inner is None else arguments_of(inner.target).hints.get(name)
        if hint is None:
            return None
    return next(filter(None, map(made, alternatives(hint))), None)


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
