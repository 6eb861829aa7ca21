r"""Hints may teach a method, not an answer: templates that give a problem away.

A template does so in one of two ways.

* It has a right answer in it. An answer of three digits that count, or an expression, is one
  wherever it stands. A small number, or a word that is right for several problems, stands in many
  texts by chance ("write 2 lines"), so it counts only where the text says it as an answer ("the
  answer is 2", ``= 2``, ``\boxed{2}``).
* It has eight words in a row of a problem, or all of a shorter one. A run that three problems share
  is a phrase of the data set and no problem's own.
"""

import logging
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from typing import Literal

from p2o.data.contamination import ngrams, split_words
from p2o.hints.evidence import Evidence
from p2o.verifiers.mentions import Mention, in_digits, mentions, number_in, plainly
from p2o.verifiers.number_forms import NUMBER, value_of
from p2o_callbacks.protocols import TemplateTrial

logger = logging.getLogger(__name__)

Action = Literal["off", "warn", "reject"]
"""What happens to a template that gives something away."""

RUN = 8
"""Words in a row that are a problem's own."""
SHORTEST = 4
"""Words of the shortest problem that counts as a whole."""
STOCK = 3
"""Problems that share a run which is none's own."""
DISTINCT = 3
"""Digits that count, from which a number is seldom there by chance."""
NEAR = 120
"""Characters in front of an answer in which is looked for what makes it one."""
LONG = 4
"""Letters, digits and signs, from which an expression is seldom there by chance."""
SHOWN = 5
"""Templates of a search that a warning is given for."""

_VERB = (
    r"(?:is|are|was|be|would|must|should|will|comes?|turns?|out|as|equals?|equal|to|of|exactly|always"
    r"|simply|just|only)\b"
)
SAID = re.compile(
    r"\b(?:answers?|results?|solutions?|outputs?|totals?|responses?)\b"
    rf"(?:\s*(?:{_VERB}|[:=→]))*(?:\s*not\s+\S+\s+but\b)?[\s:=→\"'($*`]*$",
    re.IGNORECASE,
)
"""In front of an answer that is said to be one."""
IMPLIED = re.compile(
    r"(?:[=≈⇒→]|\b(?:is|are|it's|that's|equals?|gives?|gets?|yields?|makes?|write|say|reply|respond|choose|pick"
    r"|select|option|choice|number|with|obtain|be)\b)"
    r"(?:\s*(?:the|number|exactly|just|only|with|to|be)\b)*[\s:\"'($*`]*$",
    re.IGNORECASE,
)
"""In front of what is an answer if nothing follows that it could count."""
NAMED = re.compile(
    r"(?:[=≈⇒→:]|\b(?:answer|write|say|reply|respond|choose|pick|select|option|choice|with)\b)"
    r"(?:\s*(?:the|exactly|just|only|with|to)\b)*[\s:\"'($*`]*$",
    re.IGNORECASE,
)
"""The same in front of a word: "it is subtraction" may teach when to subtract."""
ASKED_FOR = re.compile(r"\bnumber of \w+ (?:is|are)\s*$", re.IGNORECASE)
"""In front of a number that says of how many things an answer is made."""
ENDS = re.compile(r"\s*[\"')$*`]*\s*(?:[.,;:!?)]|\n|$)")
COUNTS = re.compile(
    r"[\s-]*(?:of|or|lines?|steps?|words?|sentences?|digits?|decimals?|places?|paragraphs?|parts?"
    r"|times?|numbers?|letters?|points?|pages?|options?|tokens?|characters?|examples?|ways?"
    r"|methods?|columns?|rows?|bullets?|significant)\b",
    re.IGNORECASE,
)
"""Behind a number that says how an answer is to look."""
MARKER = re.compile(r"[.)]\s+\S")
LISTED = re.compile(r"\s*(?:,|/|;|\bor\b|\band\b)(?:\s*(?:or|and)\b)?\s*", re.IGNORECASE)


class KnownAnswers:
    """Right answers of problems, and whether a text says one of them.

    Attributes:
        problems: How many there are.
    """

    def __init__(self) -> None:
        self.problems = 0
        self._problems_with: Counter[str] = Counter()
        # The first of equal answers, and its place among all; numbers are equal by their values.
        self._numbers: dict[Fraction, tuple[int, str]] = {}
        self._others: dict[str, int] = {}

    def add(self, answers: Sequence[str]) -> None:
        """Take note of the right answers of one more problem."""
        self.problems += 1
        self._problems_with.update({_key(answer) for answer in answers})
        for answer in answers:
            place, number = len(self._numbers) + len(self._others), number_in(answer)
            if number is None:
                self._others.setdefault(answer, place)
            else:
                self._numbers.setdefault(number, (place, answer))

    def first_said_in(self, text: str) -> str | None:
        """The first of all answers that a text says as one; None where it says none.

        It is what `said_in` finds of one problem after the other, in the time of a few.
        """
        known = (self._numbers.get(number) for number in numbers_in(text))
        numbers = sorted(entry for entry in known if entry is not None)
        said = (entry for entry in numbers if self.said_in(text, [entry[1]]) is not None)
        place, first = next(said, (None, None))
        for answer, own in self._others.items():
            if place is not None and own > place:
                break
            if self.said_in(text, [answer]) is not None:
                return answer
        return first

    def said_in(self, text: str, answers: Sequence[str]) -> str | None:
        """The first of some answers that a text says as one; None where it says none.

        Args:
            text: Any.
            answers: Of one of the problems.
        """
        for answer in answers:
            if any(self._is_answer(mention, answer) for mention in mentions(text, answer)):
                return answer
        return None

    def rare_in(self, text: str, answers: Sequence[str]) -> str | None:
        """The first of some answers that a text has and that is seldom there by chance.

        Args:
            text: That says answers to other questions.
            answers: Of one of the problems.
        """
        for answer in answers:
            if not self._by_chance(answer, number_in(answer)) and any(mentions(text, answer)):
                return answer
        return None

    def _is_answer(self, mention: Mention, answer: str) -> bool:
        number = number_in(answer)
        is_marker = mention.before.rstrip(" \t")[-1:] in ("", "\n") and MARKER.match(mention.after)
        if number is not None and is_marker:
            return False
        if not self._by_chance(answer, number):
            return True
        if number is None and self._is_listed(mention, answer):
            return False
        before = mention.before[-NEAR:]
        if SAID.search(before):
            return not COUNTS.match(mention.after)
        implied = NAMED if number is None else IMPLIED
        if ASKED_FOR.search(before) or not implied.search(before):
            return False
        return bool(ENDS.match(mention.after))

    def _by_chance(self, answer: str, number: Fraction | None) -> bool:
        """Whether an answer may stand in a text that has nothing to do with its problem."""
        if number is not None:
            return _digits(number) < DISTINCT
        if any(not character.isalpha() for character in answer.strip()):
            return sum(not character.isspace() for character in answer) < LONG
        # A word: a label where several problems share it, as yes, B and Division are.
        few = self.problems < RUN
        return few or len(answer.strip()) < LONG or self._problems_with[_key(answer)] > 1

    def _is_listed(self, mention: Mention, answer: str) -> bool:
        """Whether a label is one of several to choose from."""
        behind, before = LISTED.match(mention.after), _last(LISTED, mention.before[-NEAR:])
        following = mention.after[behind.end() :].split() if behind else []
        preceding = mention.before[-NEAR:][: before.start()].split() if before else []
        neighbours = [*following[:1], *preceding[-1:]]
        keys = {_key(word.strip(".,;:!?()'\"")) for word in neighbours} - {_key(answer)}
        return any(key in self._problems_with for key in keys)


class LeakGuard:
    """Finds templates that give a problem away, among the problems that a search has tried.

    That is all a reflection was told of.

    Args:
        action: ``off`` looks at nothing, ``warn`` lets through what it finds, ``reject`` does not.

    Attributes:
        found: Why, by template, for all that were found.
    """

    def __init__(self, action: Action) -> None:
        self.action: Action = action
        self.found: dict[str, str] = {}
        self._problems: set[str] = set()
        self._answers = KnownAnswers()
        # How many problems have a run of words, and of those that are all of a problem the place.
        self._runs: Counter[str] = Counter()
        self._short: dict[str, int] = {}

    @property
    def count(self) -> int | None:
        """Templates that were found; None where nothing is looked at."""
        return None if self.action == "off" else len(self.found)

    def learn(self, sample_id: str, trial: TemplateTrial) -> None:
        """Take note of a problem: its question and its right answers."""
        self._learn(sample_id, trial.question, trial.answers)

    def learn_shown(self, samples: Iterable[str], evidence: Evidence) -> None:
        """Take note of those problems that training has shown."""
        for sample in samples:
            asked = evidence.asked(sample)
            if asked is not None:
                self._learn(sample, *asked)

    def _learn(self, sample_id: str, question: str, answers: Sequence[str]) -> None:
        if self.action == "off" or sample_id in self._problems:
            return
        self._problems.add(sample_id)
        self._answers.add(answers)
        runs = runs_of(question)
        self._runs.update(runs)
        for run in runs:
            if run.count(" ") < RUN - 1:
                self._short.setdefault(run, len(self._short))

    def passes(self, template: str) -> bool:
        """Whether a template may stay; one that came in before is neither counted nor told."""
        return self.action != "reject" or self.why(template) is None

    def admits(self, template: str) -> bool:
        """Whether a template may come into the search; counts and tells those that give away."""
        why = None if self.action == "off" else self.why(template)
        if why is None:
            return True
        tell(self.action, "template", template, why, self.found)
        return self.action == "warn"

    def why(self, template: str) -> str | None:
        """What a template gives away, in words that go behind "a template"; None for nothing."""
        words = words_in(template)
        runs = _full_runs(words, RUN) & self._runs.keys()
        short = set().union(*(_full_runs(words, size) for size in range(SHORTEST, RUN)))
        whole = sorted(short & self._short.keys(), key=self._short.__getitem__)
        for run in (*sorted(runs), *whole):
            if self._runs[run] < STOCK:
                return words_of_a_problem(run)
        answer = self._answers.first_said_in(template)
        return None if answer is None else answer_of_a_problem(answer)


def words_in(text: str) -> list[str]:
    """Words and numbers; a number is one word, however it is spelled."""
    return split_words(in_digits(text))


def runs_of(question: str) -> set[str]:
    """The runs of words by which a problem is known; none of one that is too short."""
    words = words_in(question)
    return ngrams(words, RUN) if len(words) >= SHORTEST else set()


def _full_runs(words: Sequence[str], size: int) -> set[str]:
    """All runs of so many words; none where there are fewer."""
    return ngrams(words, size) if len(words) >= size else set()


def numbers_in(text: str) -> set[Fraction]:
    """The values of all numbers in a text, however they are spelled."""
    values = (value_of(match, False) for match in NUMBER.finditer(plainly(text)))
    return {value for value in values if value is not None}


def words_of_a_problem(run: str) -> str:
    """Why a text with this run gives a problem away."""
    return f"has words of a problem ('{run}')"


def answer_of_a_problem(answer: str) -> str:
    """Why a text with this answer gives a problem away."""
    return f"has the right answer of a problem ({answer:.40})"


def tell(action: Action, kind: str, text: str, why: str, found: dict[str, str]) -> None:
    """Add a text to what was found, and name it in a warning if it is one of the first.

    Args:
        action: What happens to it.
        kind: What it is, in one word.
        text: Which one.
        why: What it gives away.
        found: Why, by text.
    """
    if text not in found and len(found) < SHOWN:
        logger.warning("leaks=%s: a %s %s: %.80s", action, kind, why, " ".join(text.split()))
    found[text] = why


def _last(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    """The match that a text ends with."""
    search: Callable[[str], re.Match[str] | None] = re.compile(f"{pattern.pattern}$", re.I).search
    return search(text)


def _key(answer: str) -> str:
    """What spellings of an answer have in common."""
    number = number_in(answer)
    return "".join(answer.split()).casefold() if number is None else str(number)


def _digits(number: Fraction) -> int:
    """Digits of a number that count: 3 of 1.25 and of 12,500, 2 of 3/4.

    Example::

        >>> [_digits(Fraction(text)) for text in ("1.25", "12500", "2/3", "-40")]
        [3, 3, 2, 1]
    """
    for shift in range(7):
        moved = number * 10**shift
        if moved.denominator == 1:
            return len(str(abs(moved.numerator)).rstrip("0"))
    return len(str(abs(number.numerator))) + len(str(number.denominator))
