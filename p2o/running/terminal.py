"""Nothing that a model wrote or a file held is a command to the terminal.

Templates, responses, prompts and answers of services are printed as the characters they are: none
of them is markup, and none reaches the terminal as a command.
"""

import logging
import re
import sys
from typing import Any

from rich.console import Console
from rich.text import Text

from p2o.running.secrets import hide, hide_settings

CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""What a terminal obeys, what turns the direction of writing, and what cannot be encoded."""


def plain(text: str) -> str:
    r"""Spell out control characters, line breaks and tabs apart.

    Example::

        >>> print(plain("red: \x1b[31m"))
        red: \x1b[31m
    """
    return CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


class Terminal(Console):
    """A console on which text is text: no markup, no emoji codes, no control characters."""

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, emoji=False, highlight=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """All that is printed as a string passes here, cells of tables included."""
        return super().render_str(plain(text), **options)


class PlainFormatter(logging.Formatter):
    """What another formatter makes of a record, as plain text.

    Args:
        inner: The other one.
    """

    def __init__(self, inner: logging.Formatter) -> None:
        super().__init__()
        self.inner = inner

    def format(self, record: logging.LogRecord) -> str:
        """See `logging.Formatter`."""
        return plain(self.inner.format(record))


class SettingsFormatter(logging.Formatter):
    """Lines in which Hydra says what it was told, without keys."""

    def format(self, record: logging.LogRecord) -> str:
        """See `logging.Formatter`."""
        return plain(hide_settings(super().format(record)))


def print_error(error: object) -> None:
    """Say on the standard error stream what is wrong, and no secret that it may repeat."""
    print(plain(hide(f"error: {error}")), file=sys.stderr)
