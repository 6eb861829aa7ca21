"""Type hints: what a callable takes, whether a value of a configuration fits, and in words."""

import inspect
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cache
from pathlib import PurePath
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from annotated_types import Ge, Gt, Le, Lt
from pydantic import ConfigDict, StringConstraints, TypeAdapter, ValidationError
from pydantic.errors import PydanticSchemaGenerationError, PydanticUserError
from pydantic_core import SchemaError, to_json

Count = Annotated[int, Ge(1)]
Share = Annotated[float, Ge(0), Le(1)]
Positive = Annotated[float, Gt(0)]
NotNegative = Annotated[float, Ge(0)]
SomeShare = Annotated[float, Gt(0), Le(1)]
Whole = Annotated[int, Ge(0)]
Size = Annotated[int, Ge(1), Lt(2**20)]
"""Of what is made at once; no machine has the memory for more."""
Many = Annotated[int, Lt(2**20)]
"""The same where a class itself says what is too few."""
Text = Annotated[str, StringConstraints(pattern=r"\S"), "that is not empty"]
Workers = Annotated[int, Ge(1), Lt(2**10)]
Temperature = Annotated[float, Ge(0), Lt(1000)]
BelowOne = Annotated[float, Lt(1)]
"""A share that a class itself compares with 0."""
Decay = Annotated[float, Ge(0), Lt(1)]
Factor = Annotated[float, Ge(0), Le(100)]
"""On one term of a loss beside others, which would be nothing beside a larger one."""

WORDS = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}
PART = "a part, which is a mapping with _target_"
BOUNDS = {Ge: ("ge", "of at least"), Gt: ("gt", "above"), Le: ("le", "of at most")}
BOUNDS |= {Lt: ("lt", "below")}


@dataclass(frozen=True)
class Arguments:
    """What a callable takes by name.

    Attributes:
        hints: Name to type hint; ``Any`` where there is none that can be evaluated.
        required: Names without a default.
        more: Whether it takes other names as well.
    """

    hints: Mapping[str, Any]
    required: frozenset[str]
    more: bool


@cache
def arguments_of(target: Callable[..., Any]) -> Arguments:
    """What a class or function takes; what a class passes on is looked up in its bases."""
    hints: dict[str, Any] = {}
    required: set[str] = set()
    for function in _functions(target):
        found, more = _hints(function), False
        for name, parameter in inspect.signature(function).parameters.items():
            if parameter.kind == inspect.Parameter.VAR_KEYWORD:
                more = True
            elif name not in hints and parameter.kind in (
                inspect.Parameter.POSITIONAL_OR_KEYWORD,
                inspect.Parameter.KEYWORD_ONLY,
            ):
                hints[name] = found.get(name, Any)
                if parameter.default is inspect.Parameter.empty:
                    required.add(name)
        if not more:
            return Arguments(hints, frozenset(required), more)
    return Arguments(hints, frozenset(required), True)


def _functions(target: Callable[..., Any]) -> Iterator[Callable[..., Any]]:
    """Those that take the arguments, the first one first; none where that is written in C."""
    if not inspect.isclass(target):
        if inspect.isfunction(target) or inspect.ismethod(target):
            yield target
        return
    initialisers = [vars(base).get("__init__") for base in target.__mro__]
    written = [each for each in initialisers if inspect.isfunction(each)]
    # Bound to something, so that the first parameter is left out.
    yield from (types.MethodType(each, target) for each in written)
    if not written and target.__new__ is object.__new__:
        yield _takes_nothing


def _takes_nothing() -> None:
    """What stands for the initialiser of a class that has none."""


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    try:
        return get_type_hints(function, include_extras=True)
    except NameError:
        pass
    # Names that are imported for type checkers alone; hints without them can be had.
    inner, found = inspect.unwrap(function), {}
    for name, hint in inner.__annotations__.items():
        alone: Any = types.SimpleNamespace(__annotations__={name: hint})
        try:
            found |= get_type_hints(alone, inner.__globals__, include_extras=True)
        except NameError:
            continue
    return found


def fits(value: Any, hint: Any) -> bool:
    """Whether plain data fits a hint as it is: no text for a number, no 1.0 for a whole one.

    Args:
        value: Numbers, texts, booleans, None, lists and mappings of these.
        hint: Any type hint. Where it asks for an object of some class, no plain data fits.
    """
    adapter = _adapter(hint)
    if adapter is None:
        return True
    try:
        # A configuration says what JSON can: a list stands for a tuple, a text for a path.
        adapter.validate_json(to_json(value, inf_nan_mode="constants"), strict=True)
    except ValidationError:
        return False
    return True


@cache
def _adapter(hint: Any) -> TypeAdapter[Any] | None:
    config = ConfigDict(arbitrary_types_allowed=True, allow_inf_nan=False)
    try:
        return TypeAdapter(hint, config=config)
    # A hint of which pydantic makes nothing forbids nothing.
    except (PydanticSchemaGenerationError, PydanticUserError, SchemaError):
        return None


def alternatives(hint: Any) -> tuple[Any, ...]:
    """The members of a union; of any other hint the hint itself."""
    if get_origin(hint) not in (Union, types.UnionType):
        return (hint,)
    return tuple(inner for member in get_args(hint) for inner in alternatives(member))


def describe(hint: Any) -> str:
    """A hint in words that go behind "give".

    >>> describe(Count | None)
    'a whole number of at least 1, or null'
    >>> describe(tuple[float, float])
    'a list of a number and a number'
    """
    members = alternatives(hint)
    words = dict.fromkeys(_describe(member) for member in members if member is not type(None))
    # Where plain data will do, that is what is advised.
    said = " or ".join([word for word in words if word != PART] or words)
    if type(None) not in members:
        return said
    return f"{said}, or null" if said else "null"


def _describe(hint: Any) -> str:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _with_range(describe(arguments[0]), arguments[1:])
    if origin is Literal:
        choices = [str(c).lower() if isinstance(c, bool) else str(c) for c in arguments]
        return " or ".join(filter(None, (", ".join(choices[:-1]), choices[-1])))
    kind = origin or hint
    if not inspect.isclass(kind):
        return "something else"
    if kind in WORDS:
        return WORDS[kind]
    if issubclass(kind, Enum):
        return " or ".join(str(member.value) for member in kind)
    if issubclass(kind, PurePath):
        return "a path"
    if issubclass(kind, Mapping):
        return "a mapping, {name: value}"
    if issubclass(kind, tuple) and arguments and Ellipsis not in arguments:
        return f"a list of {' and '.join(map(describe, arguments))}"
    if issubclass(kind, Sequence | set):
        return "a list"
    return PART


def _with_range(said: str, metadata: Sequence[Any]) -> str:
    """Bounds in words; a text among the metadata is said as it is."""
    found = {type(bound): bound for bound in metadata}
    if Ge in found and Le in found:
        return f"{said} from {found[Ge].ge} to {found[Le].le}"
    bounds = [
        f"{words} {getattr(found[kind], name)}"
        for kind, (name, words) in BOUNDS.items()
        if kind in found
    ]
    texts = [text for text in metadata if isinstance(text, str)]
    return " ".join([said, " and ".join(bounds), *texts]).replace("  ", " ").strip()
