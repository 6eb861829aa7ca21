"""An object that lives in the other process."""

import operator
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .peer import Peer

ACTIONS = ("__setitem__", "__delitem__", "__enter__", "__exit__")
LOOKS = ("__len__", "__getitem__", "__str__", "__repr__")
CONVERSIONS = {"__bool__": bool, "__int__": int, "__float__": float, "__index__": operator.index}
"""What the object is asked to do itself. None of it tells the object what would be right."""
COMPARISONS = ("__eq__", "__lt__", "__le__", "__gt__", "__ge__")
OPERATORS = (
    *("__add__", "__sub__", "__mul__", "__truediv__", "__floordiv__", "__mod__", "__pow__"),
    *("__and__", "__or__", "__xor__"),
)


class Remote:
    """Stands for an object of the code under test.

    One that derives from a plain type is compared by what it is as plain data, never by a method
    of its own, which might say anything. Two others are compared by their own methods, and any two
    are added by them. What it says of itself is taken to hold until something is done, so that it
    cannot be another thing for each question.

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
        return self.__peer__.look("get", self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        """Set it there."""
        self.__peer__.ask("set", self, name, value)

    def __iter__(self) -> Iterator[Any]:
        """What it gives there."""
        return self.__peer__.iterate(self)

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


def _has_plain(value: Remote) -> bool:
    try:
        value.__peer__.plain(value)
    except TypeError:
        return False
    return True


def _combine(name: str, left: Any, right: Any) -> Any:
    both = isinstance(left, Remote) and isinstance(right, Remote)
    if both and not (name in COMPARISONS and _has_plain(left) and _has_plain(right)):
        return left.__peer__.look("combine", left, name, right)
    pair = (one.__peer__.plain(one) if isinstance(one, Remote) else one for one in (left, right))
    return getattr(operator, name)(*pair)


def _action(name: str) -> Any:
    return lambda self, *arguments: self.__peer__.ask("method", self, name, *arguments)


def _look(name: str) -> Any:
    return lambda self, *arguments: self.__peer__.look("method", self, name, *arguments)


def _conversion(name: str) -> Any:
    def convert(self: Remote) -> Any:
        plain = self.__peer__.plain(self) if _has_plain(self) else None
        if isinstance(plain, int | float):
            return CONVERSIONS[name](plain)
        return self.__peer__.look("method", self, name)

    return convert


def _operator(name: str) -> Any:
    return lambda self, other: _combine(name, self, other)


def _reflected(name: str) -> Any:
    return lambda self, other: _combine(name, other, self)


for _make, _names in (
    (_action, ACTIONS),
    (_look, LOOKS),
    (_conversion, CONVERSIONS),
    (_operator, (*COMPARISONS[1:], *OPERATORS)),
):
    for _name in _names:
        setattr(Remote, _name, _make(_name))
for _name in OPERATORS:
    setattr(Remote, f"__r{_name[2:]}", _reflected(_name))
