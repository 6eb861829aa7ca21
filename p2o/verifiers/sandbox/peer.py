"""Two processes that call each other's functions; values go over as JSON, objects as numbers."""

import builtins
import json
import os
import sys
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from typing import Any, NoReturn

from .operations import Operation
from .remote import Remote
from .values import FIXED, any_mutable, decode, encode, restore

LONGEST = 2**25
"""Bytes of a message."""
ATTRIBUTE = json.dumps(["get"])[:-1]
"""How a question for an attribute begins."""


class Hangup(BaseException):
    """The other process has ended. No test that expects an exception is to catch it."""


class Replay:
    """Goes through an iterator as often as one likes; it gives each item once.

    Args:
        source: The iterator.
        ended: Told how many items there are, when it has given them all.
    """

    def __init__(self, source: Iterator[Any], ended: Callable[[int], None]) -> None:
        self.source, self.ended = source, ended
        self.items: list[Any] = []

    def __iter__(self) -> Iterator[Any]:
        """From the start."""
        for place in count():
            if place == len(self.items):
                try:
                    self.items.append(next(self.source))
                except StopIteration:
                    self.ended(place)
                    return
            yield self.items[place]


class Peer:
    """One end.

    Args:
        end: File descriptor of a connected socket.
        operations: What the other end may ask for, by name; each gets an object and arguments.

    Attributes:
        alone: Whether the other end is known to have ended.
    """

    def __init__(self, end: int, operations: dict[str, Operation]) -> None:
        self.incoming, self.outgoing = os.fdopen(end, "rb"), os.fdopen(os.dup(end), "wb")
        self.operations = operations
        self.alone = False
        self._objects: list[Any] = []
        self._numbers: dict[int, int] = {}
        self._answers: dict[str, Any] = {}
        self._iterations: dict[int, Replay] = {}
        self._steps = 0
        self._lengths: dict[int, tuple[int, int]] = {}
        self._counts: dict[int, tuple[int, int]] = {}
        self._converted: dict[int, float] = {}
        self._fixed: dict[int, Any] = {}
        self._opaque: set[int] = set()
        # Numbers may be as long as they like.
        sys.set_int_max_str_digits(0)

    def ask(self, what: str, target: Any, *arguments: Any, **named: Any) -> Any:
        """Have the other end do something, and answer what it asks meanwhile.

        Raises:
            Exception: What it raised there, as the built-in type closest to it.
        """
        try:
            message = self._exchange(what, self.encode([target, arguments, named]))
        finally:
            self._forget()
        for original, changed in zip(arguments, message.get("changed", ()), strict=False):
            restore(original, self.decode(changed))
        for name, changed in dict(message.get("changed_named", {})).items():
            if name in named:
                restore(named[name], self.decode(changed))
        return self._value(message)

    def look(self, what: str, target: Any, *arguments: Any) -> Any:
        """What the other end says of an object: the same each time until something is done.

        Raises:
            Exception: See `ask`.
        """
        content = self.encode([target, arguments, {}])
        question = json.dumps([what, content])
        if question not in self._answers:
            self._answers[question] = self._exchange(what, content)
        return self._value(self._answers[question])

    def iterate(self, target: Remote) -> Iterator[Any]:
        """What an object gives when it is gone through: the same again until something is done."""
        number = target.__number__
        if number not in self._iterations:
            ended = partial(self._check_count, number, self._steps)
            source = self.step(target, "__iter__")
            if not isinstance(source, Remote) or source.__number__ == number:
                # It can be gone through once.
                return source
            self._iterations[number] = Replay(source, ended)
        return iter(self._iterations[number])

    def length(self, target: Remote) -> int:
        """How many items an object says that it has.

        Raises:
            ValueError: It has just given another number of them.
        """
        said = self.look("method", target, "__len__")
        number = target.__number__
        step, counted = self._counts.get(number, (-1, said))
        if step == self._steps:
            _check_same(said, counted)
        self._lengths[number] = self._steps, said
        return said

    def _check_count(self, number: int, started: int, counted: int) -> None:
        """Compare what an object gave, with no other step between, with the length it said."""
        # One step to begin, one for each item, one for the end.
        if self._steps - started == counted + 2:
            step, said = self._lengths.get(number, (-1, counted))
            if step >= started:
                _check_same(said, counted)
            self._counts[number] = self._steps, counted

    def convert(self, target: Remote, name: str) -> Any:
        """What an object says that it is as a number.

        Raises:
            ValueError: It has just said that it is another one.
        """
        said = self.look("method", target, name)
        if name != "__bool__" and isinstance(said, int | float):
            known = self._converted.setdefault(target.__number__, said)
            # It may be rounded as an integer.
            if abs(said - known) > 1:
                raise ValueError(f"an object says that it is {known} and {said}")
        return said

    def step(self, target: Remote, name: str) -> Any:
        """Begin to go through an object, or go on.

        Other objects may have other contents then; their attributes stay what they are.
        """
        self._steps += 1
        try:
            return self._value(self._exchange("method", self.encode([target, [name], {}])))
        finally:
            kept = self._answers.items()
            self._answers = {asked: told for asked, told in kept if asked.startswith(ATTRIBUTE)}

    def plain(self, target: Remote) -> Any:
        """An object as plain data. What cannot change is asked once, and stays.

        Raises:
            TypeError: It is no plain data, and never will be.
            ValueError: It says different things of itself.
        """
        number = target.__number__
        if number in self._opaque:
            raise TypeError("an object of the code is no plain value")
        if number not in self._fixed:
            try:
                value = self.look("plain", target)
            except TypeError:
                self._opaque.add(number)
                raise
            if not isinstance(value, FIXED):
                return value
            self._fixed[number] = value
        return self._fixed[number]

    def _forget(self) -> None:
        """What has been done may have changed any object."""
        self._answers.clear()
        self._iterations.clear()
        self._lengths.clear()
        self._counts.clear()
        self._converted.clear()

    def _exchange(self, what: str, content: Any) -> Any:
        self.send({"ask": [what, content]})
        while True:
            message = self.receive()
            if "ask" not in message:
                return message
            self._answer(message["ask"])

    def _value(self, message: Any) -> Any:
        if "error" in message:
            _raise(*message["error"])
        return self.decode(message["value"])

    def serve(self) -> None:
        """Answer until the other end is gone."""
        while True:
            try:
                message = self.receive()
            except Hangup:
                return
            self._answer(message["ask"])

    def send(self, message: Any) -> None:
        """Send a message."""
        content = json.dumps(message).encode()
        if len(content) > LONGEST:
            raise ValueError(f"a value of {len(content)} bytes is too long to pass on")
        try:
            self.outgoing.write(len(content).to_bytes(4, "big") + content)
            self.outgoing.flush()
        except OSError as error:
            raise self._hangup() from error

    def receive(self) -> Any:
        """Wait for a message."""
        try:
            length = int.from_bytes(self.incoming.read(4), "big")
            content = self.incoming.read(min(length, LONGEST))
        except OSError as error:
            raise self._hangup() from error
        if length == 0 or len(content) < length:
            raise self._hangup()
        return json.loads(content)

    def _hangup(self) -> Hangup:
        self.alone = True
        return Hangup("the code ended the process it ran in")

    def encode(self, value: Any) -> Any:
        """A value for the other end."""
        return encode(value, self._refer)

    def decode(self, content: Any) -> Any:
        """A value from the other end."""
        return decode(content, self._resolve)

    def _refer(self, value: Any) -> Any:
        if isinstance(value, Remote):
            return [value.__number__, "yours"]
        # Objects stay, so that no other one gets the identity of one of them.
        if id(value) not in self._numbers:
            self._numbers[id(value)] = len(self._objects)
            self._objects.append(value)
        return [self._numbers[id(value)], "mine"]

    def _resolve(self, reference: Any) -> Any:
        number, owner = reference
        return self._objects[number] if owner == "yours" else Remote(self, number)

    def _answer(self, request: Any) -> None:
        answer: dict[str, Any] = {}
        arguments: list[Any] = []
        named: dict[str, Any] = {}
        # The other end is at work.
        self._forget()
        try:
            what, content = request
            target, arguments, named = self.decode(content)
            if what not in self.operations:
                raise TypeError("the code can do nothing with an object of the tests but call it")
            answer["value"] = self.encode(self.operations[what](target, *arguments, **named))
        except Exception as error:  # It belongs to the other end.
            answer = {"error": _describe(error)}
        if any_mutable(arguments):
            answer["changed"] = [self.encode(argument) for argument in arguments]
        if any_mutable(list(named.values())):
            answer["changed_named"] = {name: self.encode(value) for name, value in named.items()}
        try:
            self.send(answer)
        except ValueError as error:
            self.send({"error": _describe(error)})


def _check_same(said: int, counted: int) -> None:
    if said != counted:
        raise ValueError(f"an object says that it has {said} items and gives {counted}")


def _describe(error: Exception) -> list[str]:
    known = (kind for kind in type(error).__mro__ if vars(builtins).get(kind.__name__) is kind)
    return [next(known).__name__, f"{error}"[:500]]


def _raise(name: str, text: str) -> NoReturn:
    kind = vars(builtins).get(name)
    if not (isinstance(kind, type) and issubclass(kind, Exception)):
        kind = RuntimeError
    try:
        error = kind(text)
    except TypeError:
        error = RuntimeError(text)
    raise error
