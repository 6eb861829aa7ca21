"""What one process may have the other one do with an object."""

import operator
from collections.abc import Callable
from types import FunctionType
from typing import Any

from .values import plain_base

Operation = Callable[..., Any]
BUILT_IN: dict[str, Operation] = {"__bool__": bool, "__iter__": iter}
"""What Python does where a class has no such method."""


def call_function(target: Any, *arguments: Any, **named: Any) -> Any:
    """Call a function, and nothing that is not one."""
    if not isinstance(target, FunctionType):
        raise TypeError(f"{type(target).__name__} cannot be called from here")
    return target(*arguments, **named)


def call(target: Any, *arguments: Any, **named: Any) -> Any:
    """Call whatever it is."""
    return target(*arguments, **named)


def call_method(target: Any, name: str, *arguments: Any) -> Any:
    """Call a special method, or have Python do what it does where there is none."""
    if name in BUILT_IN:
        return BUILT_IN[name](target)
    method = getattr(type(target), name, None)
    if method is None:
        raise TypeError(f"{type(target).__name__} has no {name}")
    return method(target, *arguments)


def combine(target: Any, name: str, other: Any) -> Any:
    """What an operator makes of two objects."""
    return getattr(operator, name)(target, other)


TRUSTING: dict[str, Operation] = {
    "call": call,
    "method": call_method,
    "combine": combine,
    "get": getattr,
    "set": setattr,
    "plain": plain_base,
}
"""For the end that has nothing to lose."""
CAREFUL: dict[str, Operation] = {"call": call_function}
"""For the end that judges: the other one can call the functions that it was given."""
