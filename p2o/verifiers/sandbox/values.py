"""Plain values as JSON and back: what can cross between processes that do not trust each other."""

import importlib
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

SCALARS = (type(None), bool, int, float, str)
CONTAINERS: dict[str, type] = {
    kind.__name__: kind for kind in (tuple, set, frozenset, bytes, bytearray, deque)
}
LONG = 4096
"""Bits of an integer from which on it is written in hexadecimal, which takes linear time."""
COMPOSED: dict[str, Callable[[Any], list[Any]]] = {
    "builtins.complex": lambda value: [value.real, value.imag],
    "fractions.Fraction": lambda value: [value.numerator, value.denominator],
    "decimal.Decimal": lambda value: [str(value)],
    "datetime.date": lambda value: [value.year, value.month, value.day],
    "datetime.timedelta": lambda value: [value.days, value.seconds, value.microseconds],
    **dict.fromkeys(
        ["builtins.range", "builtins.slice"], lambda value: [value.start, value.stop, value.step]
    ),
}
"""What these are made of, by name, so that their modules are imported only when they are used."""
BASES: dict[Any, Callable[[Any], Any]] = {
    dict: dict.items,
    **{kind: kind.__iter__ for kind in (list, tuple, bytes, bytearray, set, frozenset, deque)},
    str: str.__str__,
    float: float.__float__,
    int: int.__int__,
}
"""How plain types read what an object of theirs holds, whatever its class makes of it."""
FIXED = (bool, int, float, str, bytes, tuple, frozenset)
"""Types whose values stay what they are."""


def encode(value: Any, refer: Callable[[Any], Any] | None = None) -> Any:
    """A value as something that `json.dumps` writes and `decode` reads.

    Scalars and lists stay what they are; other types are a dictionary with their name. Types are
    those of Python exactly: an object of a subclass may do anything and is none of them.

    Args:
        value: Nothing, numbers, text and containers of them.
        refer: What to write in place of any other object.

    Raises:
        TypeError: There is another object and no `refer`.
    """
    kind = type(value)
    if kind is int and value.bit_length() > LONG:
        return {"int": hex(value)}
    if kind in SCALARS:
        return value
    if kind is list:
        return [encode(item, refer) for item in value]
    if kind is dict:
        return {"dict": [[encode(key, refer), encode(item, refer)] for key, item in value.items()]}
    if CONTAINERS.get(kind.__name__) is kind:
        return {kind.__name__: [encode(item, refer) for item in value]}
    name = f"{kind.__module__}.{kind.__qualname__}"
    if name in COMPOSED:
        return {name: encode(COMPOSED[name](value), refer)}
    if refer is None:
        raise TypeError(f"{name} is no plain value")
    return {"object": refer(value)}


def decode(content: Any, resolve: Callable[[Any], Any] | None = None) -> Any:
    """The value that `encode` wrote.

    Args:
        content: What it wrote, after a way through JSON or not.
        resolve: Finds the object for what `refer` wrote.

    Raises:
        ValueError: `encode` wrote no such thing.
    """
    if type(content) is list:
        return [decode(item, resolve) for item in content]
    if type(content) is not dict:
        return content
    [(kind, parts)] = content.items()
    if kind == "int":
        return int(parts, 16)
    if kind == "dict":
        return {decode(key, resolve): decode(item, resolve) for key, item in parts}
    if kind in CONTAINERS:
        return CONTAINERS[kind](decode(item, resolve) for item in parts)
    if kind in COMPOSED:
        module, _, name = kind.rpartition(".")
        return getattr(importlib.import_module(module), name)(*decode(parts, resolve))
    if kind != "object" or resolve is None:
        raise ValueError(f"no such kind of value: {kind!r}")
    return resolve(parts)


def plain_base(value: Any) -> Any:
    """What an object holds as a value of the plain type that it derives from.

    Raises:
        TypeError: It derives from none.
        ValueError: It is a number and converts itself to another one.
    """
    for base, read in BASES.items():
        if isinstance(value, base):
            plain = base(read(value))
            if base in (float, int):
                _check_conversion(plain, base(value), type(value).__name__)
            return plain
    raise TypeError(f"{type(value).__name__} is no plain value")


def _check_conversion(plain: float, said: float, name: str) -> None:
    if plain != said and not (plain != plain and said != said):
        raise ValueError(f"an object of {name} is {plain} and says that it is {said}")


def restore(original: Any, changed: Any) -> None:
    """Make a container that is passed by value what a call has made of it."""
    if isinstance(original, list | bytearray):
        original[:] = changed
    elif isinstance(original, dict | set):
        original.clear()
        original.update(changed)
    elif isinstance(original, deque):
        original.clear()
        original.extend(changed)


def any_mutable(values: Iterable[Any]) -> bool:
    """Whether a call may have changed one of its arguments."""
    return any(isinstance(value, list | bytearray | dict | set | deque) for value in values)
