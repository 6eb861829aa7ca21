"""The error a user can act on."""


class UserError(Exception):
    """Something the user gave is wrong: one line that names the key or row and what would do.

    Command-line programs print the message alone, without a traceback, and exit with status 2.
    """
