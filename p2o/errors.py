"""The errors a user is shown in one line."""


class UserError(Exception):
    """Something the user gave is wrong: one line that names the key or row and what would do.

    Command-line programs print the message alone, without a traceback, and exit with status 2.
    """


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
