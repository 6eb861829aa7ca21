"""The errors a user is shown in one line."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

ARGUMENT = re.compile(r"([a-z_]\w*)(\.\w+)*(=|: )")
"""How the message of a part begins that names one of its arguments: ``width=0: ...``."""
OPTION = re.compile(r"(?<![\w.+])options\.\w+=")
"""How a message names something for its part to pass on to a library."""


class UserError(Exception):
    """Something the user gave is wrong: one line that names the key or row and what would do.

    Command-line programs print the message alone, without a traceback, and exit with status 2.
    """


class OtherRun(UserError):
    """A checkpoint is of a run with other settings or data; going on with it has to be meant."""


class FolderTaken(UserError):
    """A folder cannot be worked in and another one would do; programs add the key that gives it."""


class PeerError(Exception):
    """Another rank failed at work that all ranks share; carries what it said."""


class EngineError(Exception):
    """A rollout engine died, or does not have the weights it was given; the run cannot go on.

    What was done is saved: the command-line program exits with status 4, and ``resume=auto`` goes
    on.
    """


def first_line(error: BaseException) -> str:
    """What an error says, without its further lines; its name where it says nothing."""
    return (str(error).splitlines() or [type(error).__name__])[0]


def spelled_out(said: str, argument: str, key: str) -> str:
    """A message that names an argument of a part in its midst, with the part's key before it.

    >>> spelled_out("9 failed, more than most=3", "most", "guard")
    '9 failed, more than guard.most=3'
    """
    return re.sub(rf"(?<![\w.]){argument}=", f"{key}.{argument}=", said)


@contextmanager
def located(key: str, *kinds: type[Exception]) -> Iterator[None]:
    """Put a configuration key in front of what a part says; parts know their arguments alone.

    What a part passes on to a library stands in its ``options``, wherever it is named; as no
    configuration lists these, Hydra needs a plus to add one.

    >>> with located("evolution.evolver"):
    ...     raise UserError("width=0: give at least 1")
    Traceback (most recent call last):
    p2o.errors.UserError: evolution.evolver.width=0: give at least 1

    Args:
        key: Where the part stands.
        kinds: Errors that are treated as a `UserError` is.

    Raises:
        UserError: What was raised inside.
    """
    try:
        yield
    except (UserError, *kinds) as error:
        said = OPTION.sub(rf"+{key}.\g<0>", str(error))
        joint = "." if ARGUMENT.match(said) else ": "
        raise UserError(f"{key}{joint}{said}") from error
