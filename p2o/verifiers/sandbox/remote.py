"""An object that lives in the other process."""

import operator
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from .values import FIXED

if TYPE_CHECKING:
    from .peer import Peer

ACTIONS = ("__setitem__", "__delitem__", "__enter__", "__exit__")
LOOKS = ("__str__", "__repr__")
CONTENTS: dict[str, Callable[..., Any]] = {"__len__": len, "__getitem__": operator.getitem}
CONVERSIONS = {"__bool__": bool, "__int__": int, "__float__": float, "__index__": operator.index}
"""What the object is asked to do itself. None of it tells the object what would be right."""
COMPARISONS = ("__eq__", "__lt__", "__le__", "__gt__", "__ge__")
OPERATORS = (
    *("__add__", "__sub__", "__mul__", "__truediv__", "__floordiv__", "__mod__", "__pow__"),
    *("__and__", "__or__", "__xor__"),
)


class Remote:
    """Stands for an object of the code under test.

    One that derives from a plain type is compared, gone through, indexed and measured as the plain
    data that it is, never by a method of its own, which might say anything. Two others are compared
    by their own methods, and any two are added by them. What it says of itself is taken to hold
    until something is done, so that it cannot be another thing for each question. How it is written
    as text is for its class to say.

    Args:
        peer: The way to the other process.
        number: Of the object there.
    """

    def __init__(self, peer: "Peer", number: int) -> None:
        # Names that an object of the code does not use.
        vars(self).update(__peer__=peer, __number__=number)

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        """Call it there."""
        return self.__peer__.ask("call", self, *arguments, **named)

    def __getattr__(self, name: str) -> Any:
        """An attribute it has there."""
        if name.startswith("__"):
            raise AttributeError(name)
        plain = _plain_of(self)
        own = getattr(plain, name, None) if isinstance(plain, FIXED) else None
        if own is not None and not callable(own):
            return own
        value = self.__peer__.look("get", self, name)
        # A method that the plain type has; a field of a named tuple may have its name.
        return own if own is not None and isinstance(value, Remote) else value

    def __setattr__(self, name: str, value: Any) -> None:
        """Set it there."""
        self.__peer__.ask("set", self, name, value)

    def __iter__(self) -> Iterator[Any]:
        """What it gives there."""
        plain = _plain_of(self)
        return self.__peer__.iterate(self) if plain is None else iter(plain)

    def __next__(self) -> Any:
        """What it gives next there."""
        return self.__peer__.step(self, "__next__")

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Remote) and self.__number__ == other.__number__:
            return True
        try:
            return _combine("__eq__", self, other) is True
        except TypeError:
            return False

    def __hash__(self) -> int:
        return hash(self.__number__)


def _plain_of(value: Remote) -> Any:
    """The object as plain data, which is never None; None when it is none."""
    try:
        return value.__peer__.plain(value)
    except TypeError:
        return None


def _combine(name: str, left: Any, right: Any) -> Any:
    both = isinstance(left, Remote) and isinstance(right, Remote)
    if both and not (name in COMPARISONS and None not in (_plain_of(left), _plain_of(right))):
        return left.__peer__.look("combine", left, name, right)
    pair = (one.__peer__.plain(one) if isinstance(one, Remote) else one for one in (left, right))
    return getattr(operator, name)(*pair)


def _action(name: str) -> Any:
    return lambda self, *arguments: self.__peer__.ask("method", self, name, *arguments)


def _look(name: str) -> Any:
    return lambda self, *arguments: self.__peer__.look("method", self, name, *arguments)


def _content(name: str) -> Any:
    def read(self: Remote, *arguments: Any) -> Any:
        plain = _plain_of(self)
        if plain is not None:
            try:
                return CONTENTS[name](plain, *arguments)
            except KeyError:
                # A dictionary of its class may have a default for what is not there.
                pass
        if name == "__len__":
            return self.__peer__.length(self)
        return self.__peer__.look("method", self, name, *arguments)

    return read


def _conversion(name: str) -> Any:
    def convert(self: Remote) -> Any:
        plain = _plain_of(self)
        if isinstance(plain, int | float) or (plain is not None and name == "__bool__"):
            return CONVERSIONS[name](plain)
        return self.__peer__.convert(self, name)

    return convert


def _operator(name: str) -> Any:
    return lambda self, other: _combine(name, self, other)


def _reflected(name: str) -> Any:
    return lambda self, other: _combine(name, other, self)


for _make, _names in (
    (_action, ACTIONS),
    (_look, LOOKS),
    (_content, CONTENTS),
    (_conversion, CONVERSIONS),
    (_operator, (*COMPARISONS[1:], *OPERATORS)),
):
    for _name in _names:
        setattr(Remote, _name, _make(_name))
for _name in OPERATORS:
    setattr(Remote, f"__r{_name[2:]}", _reflected(_name))
