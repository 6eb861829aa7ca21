"""An object that lives in the other process."""

import operator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .peer import Peer

ACTIONS = (
    *("__iter__", "__next__", "__setitem__", "__delitem__"),
    *("__enter__", "__exit__"),
)
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

    Two of them are compared and added by their own methods, but for numbers and text, which are
    what they are. With a value of the tests one is compared by what it is as plain data, never by a
    method of its own, which might say anything. What it says of itself is taken to hold until
    something is done, so that it cannot be another thing for each question.

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

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Remote) and self.__number__ == other.__number__:
            return True
        try:
            return _combine("__eq__", self, other) is True
        except TypeError:
            return False

    def __hash__(self) -> int:
        return hash(self.__number__)


def _scalar(value: Any) -> Any:
    """An object of the code that is a number or text as such; None for any other."""
    try:
        plain = value.__peer__.plain(value)
    except TypeError:
        return None
    return plain if isinstance(plain, int | float | str | bytes) else None


def _combine(name: str, left: Any, right: Any) -> Any:
    if not isinstance(right, Remote):
        left = left.__peer__.plain(left)
    elif not isinstance(left, Remote):
        right = right.__peer__.plain(right)
    elif name not in COMPARISONS or None in (pair := (_scalar(left), _scalar(right))):
        return left.__peer__.look("combine", left, name, right)
    else:
        left, right = pair
    return getattr(operator, name)(left, right)


def _action(name: str) -> Any:
    return lambda self, *arguments: self.__peer__.ask("method", self, name, *arguments)


def _look(name: str) -> Any:
    return lambda self, *arguments: self.__peer__.look("method", self, name, *arguments)


def _conversion(name: str) -> Any:
    def convert(self: Remote) -> Any:
        plain = _scalar(self)
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
