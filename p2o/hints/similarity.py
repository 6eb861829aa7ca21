"""Which texts are alike, by the words that they share; a rare word says more than a common one."""

import math
import re
from collections import Counter
from collections.abc import Mapping

WORD = re.compile(r"\w+")


class Similarity:
    """Finds the texts that are most like another one.

    It is the cosine between sets of words, a word of weight ``log(1 + N / n)`` where n of N texts
    have it.

    Args:
        texts: By name.
    """

    def __init__(self, texts: Mapping[str, str]) -> None:
        self._words = {name: _words(text) for name, text in texts.items()}
        self._counts = Counter(word for words in self._words.values() for word in words)
        self._lengths = {name: self._length(words) for name, words in self._words.items()}

    def nearest(self, text: str, count: int) -> list[str]:
        """Names of the texts that are most like this one, the most alike first; ties by name."""
        words = _words(text)
        length = self._length(words)
        alike = {
            name: math.fsum(self._weight(word) ** 2 for word in words & others)
            / ((length * self._lengths[name]) or 1.0)
            for name, others in self._words.items()
        }
        return sorted(alike, key=lambda name: (-alike[name], name))[:count]

    def _weight(self, word: str) -> float:
        return math.log1p(len(self._words) / max(1, self._counts[word]))

    def _length(self, words: frozenset[str]) -> float:
        # Exact, since the order of a set differs from process to process.
        return math.sqrt(math.fsum(self._weight(word) ** 2 for word in words))


def _words(text: str) -> frozenset[str]:
    return frozenset(word.lower() for word in WORD.findall(text))
