"""Which train samples the next reflection sees."""

import random
from typing import Any


class Minibatches:
    """Goes through all train samples in shuffled rounds, `size` of them at a time.

    gepa's own sampler starts each iteration one minibatch after the start of the iteration before,
    however many that one drew, so that a wide beam sees the same samples again and again. This one
    goes on where it was.

    Args:
        size: Samples of a minibatch, no more than there are.
        generator: Source of randomness.
    """

    def __init__(self, size: int, generator: random.Random) -> None:
        self.size, self.generator = size, generator
        self._left: list[Any] = []

    def next_minibatch_ids(self, loader: Any, state: Any) -> list[Any]:
        """The next samples; none is in a minibatch twice, be it where two rounds meet."""
        drawn = self._take(self.size)
        if len(drawn) < self.size:
            self._left = list(loader.all_ids())
            self.generator.shuffle(self._left)
            # What this minibatch has already comes last; the sort keeps the order of the rest.
            self._left.sort(key=drawn.__contains__)
            drawn += self._take(self.size - len(drawn))
        return drawn

    def _take(self, number: int) -> list[Any]:
        taken, self._left = self._left[:number], self._left[number:]
        return taken
