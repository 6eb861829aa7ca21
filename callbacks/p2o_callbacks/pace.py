"""How far some work is, and how long the rest of it will take, said about once a minute."""

import time
from collections.abc import Callable

MINUTE = 60.0
"""Seconds from one line to the next."""


class Pace:
    """Watches work go on.

    Args:
        total: How much there is to do; None where nobody knows.
        done: How much of it had been done before.
        every: Seconds from one line to the next.
        clock: Tells the time in seconds.
    """

    def __init__(
        self,
        total: int | None,
        done: int = 0,
        every: float = MINUTE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.total, self._before = total, done
        self._every, self._clock = every, clock
        self._start = self._said = clock()

    def due(self, done: int) -> str | None:
        """How far the work is; None where that has been said less than a minute ago.

        Args:
            done: How much is done, what had been done before included.
        """
        now = self._clock()
        if now - self._said < self._every:
            return None
        self._said = now
        gone, made = now - self._start, done - self._before
        if self.total is None:
            return f"{done} after {duration(gone)}"
        said = f"{done} of {self.total} after {duration(gone)}"
        if made <= 0 or done >= self.total:
            return said
        return f"{said}, about {duration(gone / made * (self.total - done))} left"


def duration(seconds: float) -> str:
    """Hours, minutes and seconds, as in ``1:02:03``; without hours ``2:03``.

    Example::

        >>> duration(3723), duration(9.6)
        ('1:02:03', '0:10')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
