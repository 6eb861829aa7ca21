"""How commands end that load neither torch nor Hydra: `p2o.cli.program` loads both."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from p2o.errors import UserError
from p2o.running.terminal import print_error


@contextmanager
def light_command() -> Iterator[None]:
    """Say what is wrong in one line, and end the program with the status that stands for it.

    Raises:
        SystemExit: There is something wrong, or Ctrl-C was pressed.
    """
    try:
        yield
    except UserError as error:
        print_error(error)
        sys.exit(2)
    except KeyboardInterrupt:
        print("\nstopped by Ctrl-C", file=sys.stderr)
        sys.exit(130)
