"""An object that lives in the other process."""

import operator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .peer import Peer

METHODS = (
    *("__len__", "__iter__", "__next__", "__getitem__", "__setitem__", "__delitem__"),
    *("__bool__", "__str__", "__repr__", "__int__", "__float__", "__index__"),
    *("__enter__", "__exit__"),
)
"""What the object is asked to do itself. None of it tells the object what would be right."""
COMPARISONS = ("__lt__", "__le__", "__gt__", "__ge__")
OPERATORS = (
    *("__add__", "__sub__", "__mul__", "__truediv__", "__floordiv__", "__mod__", "__pow__"),
    *("__and__", "__or__", "__xor__"),
)


class Remote:
    """Stands for an object of the code under test.

    Two of them are compared and added by their own methods. With a value of the tests one is
    compared by what it is as plain data, never by a method of its own, which might say anything.

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
        return self.__peer__.ask("get", self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        """Set it there."""
        self.__peer__.ask("set", self, name, value)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Remote):
            equal = self.__number__ == other.__number__ or self.__peer__.ask(
                "combine", self, "__eq__", other
            )
            return equal is True
        try:
            return self.__peer__.ask("plain", self) == other
        except TypeError:
            return False

    def __hash__(self) -> int:
        return hash(self.__number__)


def _method(name: str) -> Any:
    return lambda self, *arguments: self.__peer__.ask("method", self, name, *arguments)


def _operator(name: str, reflected: bool = False) -> Any:
    def apply(self: Remote, other: Any) -> Any:
        if isinstance(other, Remote):
            return self.__peer__.ask("combine", self, name, other)
        pair = (self.__peer__.ask("plain", self), other)
        return getattr(operator, name)(*(pair[::-1] if reflected else pair))

    return apply


for _name in METHODS:
    setattr(Remote, _name, _method(_name))
for _name in (*COMPARISONS, *OPERATORS):
    setattr(Remote, _name, _operator(_name))
for _name in OPERATORS:
    setattr(Remote, f"__r{_name[2:]}", _operator(_name, reflected=True))
