"""Training questions that are also in a benchmark, word for word or nearly."""

import logging
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from p2o.data.sources import Split
from p2o.errors import UserError, located
from p2o.prompt import Prompt

logger = logging.getLogger(__name__)

LAYOUT = re.compile(r"\\(?:left|right|displaystyle|q?quad|(?:text|math|operator)[a-z]*)(?![a-z])")
"""LaTeX that says how a formula looks and not what it is."""
VARIANT = re.compile(r"\\[a-z]?(frac|dots)")
WORD = re.compile(r"\d+|[^\W\d_]+")
SHOWN = 10
"""Overlaps that a warning lists."""


@dataclass(frozen=True)
class Overlap:
    """A training question and the question of a benchmark that it gives away.

    Attributes:
        prompt: Of training.
        benchmark: Name of the benchmark.
        question: Of the benchmark.
        share: Of the n-grams of the benchmark's question, those that are in the training question.
        exact: Whether all words are the same, in order.
    """

    prompt: Prompt
    benchmark: str
    question: Prompt
    share: float
    exact: bool


@dataclass(frozen=True)
class Contamination:
    """What counts as the same question, and what happens to it.

    Attributes:
        against: Benchmarks by name, each with a ``table`` that has questions, as in conf/suite.
        action: ``warn`` or ``drop``.
        words: Length n of the n-grams.
        share: Of a benchmark question's n-grams, how many in a training question are too many.
    """

    against: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    action: str = "warn"
    words: int = 8
    share: float = 0.5

    def __post_init__(self) -> None:
        if self.action not in ("warn", "drop"):
            raise UserError(f"action={self.action}: give warn or drop")
        if self.words < 1:
            raise UserError(f"words={self.words}: give at least 1")
        if not 0 < self.share <= 1:
            raise UserError(f"share={self.share}: give a share above 0, at most 1")

    def benchmarks(self) -> dict[str, list[Prompt]]:
        """Questions by benchmark. A warning names one that cannot be had, and it is left out."""
        found: dict[str, list[Prompt]] = {}
        for name, benchmark in self.against.items():
            try:
                with located(f"against.{name}.table"):
                    found[name] = benchmark["table"].prompts()
            except UserError as error:
                logger.warning("training questions are not compared with %s: %s", name, error)
        return found

    def apply(self, split: Split) -> Split:
        """Warn of training prompts that are in a benchmark, and drop them if that is the action.

        Raises:
            UserError: No training prompt is left.
        """
        found = find_overlaps(split.train, self.benchmarks(), self.words, self.share)
        if not found:
            return split
        known = {overlap.prompt.id for overlap in found}
        logger.warning(
            "%d of %d training questions are in a benchmark, word for word or nearly; "
            "action=%s\n%s",
            len(known),
            len(split.train),
            self.action,
            "\n".join(f"  {describe(overlap)}" for overlap in worst_first(found)[:SHOWN]),
        )
        if self.action == "warn":
            return split
        train = [prompt for prompt in split.train if prompt.id not in known]
        if not train:
            raise UserError("action=drop: no training question is left")
        return Split(train, split.held_out)


def find_overlaps(
    train: Sequence[Prompt],
    benchmarks: Mapping[str, Sequence[Prompt]],
    words: int,
    share: float,
) -> list[Overlap]:
    """All pairs of a training prompt and a benchmark's question that are the same or nearly.

    An n-gram is n words in a row; a question of fewer words has one, all of it. Letter case,
    punctuation and the layout of formulas do not count.

    Args:
        train: Training prompts.
        benchmarks: Questions by benchmark.
        words: Length n of the n-grams.
        share: Of a question's n-grams, how many in a training prompt are too many.
    """
    questions = [
        (name, question, split_words(question.question))
        for name, group in benchmarks.items()
        for question in group
    ]
    grams = [ngrams(text, words) for _, _, text in questions]
    holders: dict[str, list[int]] = defaultdict(list)
    for index, group in enumerate(grams):
        for gram in group:
            holders[gram].append(index)
    found: list[Overlap] = []
    for prompt in train:
        own = split_words(prompt.question)
        last = split_words(prompt.messages[-1]["content"])
        common = Counter(i for gram in ngrams(own, words) for i in holders.get(gram, ()))
        for index, count in sorted(common.items()):
            if count >= share * len(grams[index]):
                name, question, text = questions[index]
                contained = count / len(grams[index])
                found.append(Overlap(prompt, name, question, contained, text in (own, last)))
    return found


def split_words(text: str) -> list[str]:
    r"""Words and numbers, in lower case.

    Example::

        >>> split_words(r"Find $\left(2x\right)^{10}$ if $x = \dfrac12$.")
        ['find', '2', 'x', '10', 'if', 'x', 'frac', '12']
    """
    text = unicodedata.normalize("NFKC", text).lower()
    return WORD.findall(LAYOUT.sub(" ", VARIANT.sub(r" \1 ", text)))


def ngrams(words: Sequence[str], size: int) -> set[str]:
    """All runs of `size` words; the whole where there are fewer, none of no words."""
    if not words:
        return set()
    return {" ".join(words[i : i + size]) for i in range(max(1, len(words) - size + 1))}


def worst_first(overlaps: Sequence[Overlap]) -> list[Overlap]:
    """The same questions first, then the largest overlaps."""
    return sorted(overlaps, key=lambda each: (-each.exact, -each.share, each.prompt.id))


def describe(overlap: Overlap) -> str:
    """One line: how much, where, and how the question begins."""
    much = "all" if overlap.exact else f"{overlap.share:.0%}"
    rows = [prompt.meta.get("row", prompt.id) for prompt in (overlap.prompt, overlap.question)]
    text = " ".join(overlap.prompt.question.split())
    return f"row {rows[0]} has {much} of {overlap.benchmark}'s row {rows[1]}: {text:.40}"
