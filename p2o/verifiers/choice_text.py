r"""Which letters a response chooses, word by word: no pattern here looks further than one word."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import accumulate

from p2o.verifiers.choice_tokens import find_words, is_joined
from p2o.verifiers.choice_words import (
    AFTER_A,
    AFTER_I,
    ANSWER,
    ANSWERS,
    CONDITIONS,
    FILLING,
    JOINING,
    LEADING,
    LETTERS,
    NAMING,
    NEGATING,
    NOT,
    OPERATORS,
    OPTION,
    OPTIONS,
    PICK,
    REFUSING,
    RIGHT,
    SINGULAR,
    SO,
    SUPPOSING,
    UNREAL,
    VERBS,
    WRONG,
)

CLAUSE_ENDS = {".", ",", ";", ":", "!", "?", "\n", "but", "and", "while"} | SO
"""What a word for "not" does not reach beyond."""
SENTENCE_ENDS = {".", "\n", "?", "!"}
FARTHEST = 40
"""Words and marks from a word for an answer to the letter."""


@dataclass(frozen=True)
class Statement:
    """Letters that are chosen at one place.

    Attributes:
        letters: In the order of the alphabet.
        line: Number of its line.
        open: Whether it leaves open which of them is meant.
    """

    letters: str
    line: int
    open: bool = False


class ChoiceText:
    """A response as words, and what it states.

    Args:
        text: In which LaTeX, Markdown and any script may stand.
        joined: Whether a word of letters of choices, such as "ACD", is these.
    """

    def __init__(self, text: str, joined: bool = False) -> None:
        tokens = find_words(text)
        self.words = [token[0] for token in tokens]
        self.folded = [word.casefold() for word in self.words]
        self.edges = [token.span() for token in tokens]
        self.joined = joined
        self.lines = list(accumulate((word == "\n" for word in self.words), initial=0))

    def whole(self) -> list[Statement]:
        """The text as nothing but a choice."""
        start = self._skip(0, lambda at: self._is_sign(at) or self._may_lead(at))
        return [found for found in (self._head(start),) if found]

    def answers(self) -> list[Statement]:
        """What stands behind "answer": the last line that has one, which takes others back."""
        found = list(self._behind(ANSWER | ANSWERS if self.joined else ANSWER))
        return [statement for statement in found if statement.line == found[-1].line]

    def heads(self) -> list[Statement]:
        """Letters at the start of a line, alone or before the text of a choice."""
        starts = [0, *(at + 1 for at, word in enumerate(self.words) if word == "\n")]
        return [found for found in map(self._head, starts) if found]

    def picks(self) -> list[Statement]:
        """What stands behind "option" or "choose", before "is correct", or alone behind "so"."""
        return [
            *self._behind(OPTION | OPTIONS if self.joined else OPTION),
            *self._behind(PICK, small=False),
            *self._called_right(),
            *self._concluded(),
        ]

    def marked(self) -> list[Statement]:
        """Letters in brackets or in bold within a text."""
        return [
            Statement(self.folded[at].upper(), self.lines[at])
            for at in range(1, len(self.words) - 1)
            if (self.words[at - 1], self.words[at + 1]) in (("(", ")"), ("*", "*"))
            and self._is_letter(at)
            and not (self._touch(at - 2) and self._word(at - 2).isalnum())
            and not self._is_denied(at)
            and not self._is_negated(at)
            and not self._is_taken_back(self._skip(at + 1, self._is_mark))
        ]

    def _behind(self, cues: set[str], small: bool = True) -> Iterator[Statement]:
        for at, word in enumerate(self.folded):
            named = word == "correct" and self._word(at + 1) == ":"
            if (word in cues or named) and not self._is_denied(at):
                # A dash is a semicolon here.
                first = at + 2 if word in ANSWER and self._word(at + 1) == ";" else at + 1
                place = self._past_denial(self._skip(first, self._may_lead))
                found = None if self._is_unreal(at, place) else self._statement(place)
                if found and (small or self.words[place].isupper()):
                    yield found

    def _is_denied(self, at: int) -> bool:
        """Whether a word before a place, in its clause, says that what follows is wrong."""
        first = max(0, at - FARTHEST)
        while at > first and self.folded[at - 1] not in CLAUSE_ENDS:
            at -= 1
            if self.folded[at] in REFUSING:
                return True
        return False

    def _past_denial(self, at: int) -> int:
        """Where the letter stands that is put in place of another one: "not A but B"."""
        if self._word(at) not in NOT:
            return at
        but = self._skip(
            at + 1,
            lambda i: self._is_letter(i) or self._is_mark(i) or self.folded[i] in JOINING,
        )
        return self._skip(but + 1, self._may_lead) if self._word(but) == "but" else at

    def _is_unreal(self, cue: int, place: int) -> bool:
        """Whether a letter would be the answer under a condition, or would be but is not."""
        before = cue - 1
        while before > 0 and self.folded[before] in NAMING:
            before -= 1
        if before >= 0 and self.folded[before] in SUPPOSING:
            return True
        if not UNREAL & set(self.folded[cue:place]):
            return False
        behind = self._skip(place + 1, lambda i: self._is_mark(i) or self.words[i] == ",")
        first = cue
        while first > max(0, cue - FARTHEST) and self.folded[first - 1] not in SENTENCE_ENDS:
            first -= 1
        return self._word(behind) in CONDITIONS | {"but"} or bool(
            CONDITIONS & set(self.folded[first:cue])
        )

    def _called_right(self) -> Iterator[Statement]:
        for at, word in enumerate(self.words):
            if not (word.isupper() and self._is_letter(at)) or self._is_denied(at):
                continue
            behind = self._skip(at + 1, self._is_mark)
            if self._word(at + 1) in ("is", "seems"):
                behind = self._skip(at + 2, lambda i: self.folded[i] in LEADING - RIGHT)
                right = self._word(behind) in RIGHT and self._word(behind + 1) != "?"
            else:
                ends = self._word(behind + 1) in {"", "\n", ".", ",", ";", "!"}
                right = self._word(behind) == "correct" and ends
            if right:
                yield Statement(word, self.lines[at])

    def _concluded(self) -> Iterator[Statement]:
        for at, word in enumerate(self.folded):
            if word in SO:
                place = self._skip(at + 1, lambda i: self.folded[i] in LEADING | {","})
                end = self._skip(place + 1, self._is_mark)
                found = self._statement(place)
                if found and self.words[place].isupper() and self._word(end) in {".", "\n", ""}:
                    yield found

    def _head(self, start: int) -> Statement | None:
        at = self._past_denial(self._skip(start, self._is_sign))
        found = self._statement(at)
        end = at + 1
        while end < len(self.words) and (self._is_letter(end) or self.folded[end] in JOINING):
            end += 1
        sign = self._word(end)
        opens = sign in {")", ".", ":", "]", "because", "since"} or (
            sign in {"-", ";"} and not self._touch(end - 1)
        )
        ends = self._word(self._skip(end, self._is_sign)) in {"", "\n"}
        if not found or not (opens or ends):
            return None
        others = self._letters_from(at)
        return found if others <= set(found.letters) else replace(found, open=True)

    def _letters_from(self, at: int) -> set[str]:
        """Letters that stand side by side, when a line has nothing else behind them."""
        letters: set[str] = set()
        most = min(at + FARTHEST, len(self.words))
        while at < most and self._is_letter(at) and self.words[at].isupper():
            letters.add(self.words[at])
            at = self._skip(at + 1, self._is_sign)
        return letters if self._word(at) in {"", "\n"} else set()

    def _statement(self, at: int) -> Statement | None:
        """The letters that stand at a place, unless they are said to be wrong."""
        if self._is_negated(at):
            return None
        letters, is_open, end = self._listed(at)
        if not letters or self._is_taken_back(self._skip(end, self._is_mark)):
            return None
        return Statement(letters, self.lines[at], is_open)

    def _listed(self, at: int) -> tuple[str, bool, int]:
        """Letters from a place on, whether they leave open which is meant, and where they end."""
        if self.joined and at < len(self.words) and is_joined(self.words[at]):
            return "".join(sorted(self.words[at])), False, at + 1
        if not self._is_letter(at):
            return "", False, at
        letters, is_open, end = {self.folded[at].upper()}, False, at + 1
        while True:
            after = self._skip(end, self._may_join)
            gap = self.folded[end:after]
            if not JOINING.keys() & set(gap):
                after = self._beside(end)
                gap = self.folded[end:after]
            if not self._is_letter(after) or self._word(after + 1) in SINGULAR:
                break
            letters.add(self.folded[after].upper())
            is_open = is_open or any(JOINING.get(word, word in OPERATORS) for word in gap)
            end = after + 1
        return "".join(sorted(letters)), is_open, end

    def _may_join(self, at: int) -> bool:
        """Whether a word or mark may stand between two letters of a list."""
        shortened = self.words[at] == "." and self._word(at - 1) == "vs"
        return shortened or self._is_mark(at) or self.folded[at] in JOINING

    def _beside(self, end: int) -> int:
        """Where a letter stands that touches the one before, or that nothing but a sign parts."""
        touching = self._skip(end, lambda i: self._is_sign(i) and self._touch(i - 1))
        if touching > end and self._touch(touching - 1) and self._is_capital(touching):
            return touching
        apart = self._skip(end, lambda i: self.words[i] in OPERATORS or self._is_arrow(i))
        return apart if self._is_capital(apart) else len(self.words)

    def _is_arrow(self, at: int) -> bool:
        return self.words[at] == "-" and self._word(at + 1) == ">"

    def _is_capital(self, at: int) -> bool:
        return self._is_letter(at) and self.words[at].isupper()

    def _is_taken_back(self, at: int) -> bool:
        """Whether what stands behind a letter says that it is wrong, or might be right."""
        said = self._word(at)
        # A letter that is asked for is not chosen.
        if said in {"fails", "wrong", "incorrect", "false", "?"}:
            return True
        if said in UNREAL and self._has_condition(at):
            return True
        if said in VERBS - NOT:
            at = self._skip(at + 1, self._may_fill)
        elif said not in NOT - {"not", "never"}:
            return False
        denied = self._word(at) in NOT and self._word(at + 1) != "only"
        called = self._skip(at + 1, self._may_fill) if denied else at
        return denied != (self._word(called) in WRONG - NOT)

    def _may_fill(self, at: int) -> bool:
        """Whether a word says nothing between a verb and what is said."""
        out = self.folded[at] == "out" and self._word(at + 1) == "to"
        return out or self.folded[at] in FILLING

    def _has_condition(self, at: int) -> bool:
        """Whether a sentence goes on with a condition, or with what speaks against it."""
        end = self._skip(at, lambda i: self.folded[i] not in SENTENCE_ENDS)
        return bool((CONDITIONS | {"but"}) & set(self.folded[at:end]))

    def _is_negated(self, at: int) -> bool:
        """Whether a sign for "not" stands before a letter, as in ``~B``."""
        at -= 1
        while self._word(at) in {"(", "{", "[", "$"}:
            at -= 1
        sign = self._word(at)
        return sign in NEGATING or (sign in {"-", "~", "!"} and self._touch(at))

    def _is_letter(self, at: int) -> bool:
        """Whether a letter of a choice stands there, alone and as no other word."""
        letter, behind = self._word(at), self._word(at + 1)
        if len(letter) != 1 or letter.upper() not in LETTERS:
            return False
        if self._touch(at) and (behind in {"+", "#", "=", "^", "_"} or self._hyphen(at + 1)):
            return False
        if self._touch(at) and behind == "'" != self._word(at - 1):
            return False
        if self._touch(at - 1) and (self._word(at - 1) == "_" or self._hyphen(at - 1)):
            return False
        if self._is_initial(at):
            return False
        after = {"a": AFTER_A, "i": AFTER_I}.get(letter)
        return after is None or not (
            len(behind) > 1 and behind[0].isalpha() and behind not in after
        )

    def _is_initial(self, at: int) -> bool:
        """Whether a letter of an abbreviation such as e.g. stands there."""
        return any(
            self._word(stop) == "."
            and self._touch(stop - 1)
            and self._touch(stop)
            and len(self._word(stop + 1)) == len(self._word(stop - 1)) == 1
            and (self.words[stop - 1] + self.words[stop + 1]).isalpha()
            and not (self.words[stop - 1] + self.words[stop + 1]).isupper()
            for stop in (at - 1, at + 1)
        )

    def _hyphen(self, at: int) -> bool:
        """Whether a hyphen within a word such as A-level stands there."""
        around = (self._word(at - 1), self._word(at + 1))
        return (
            self._word(at) == "-"
            and self._touch(at - 1)
            and self._touch(at)
            and (all(word.isalnum() for word in around))
        )

    def _touch(self, at: int) -> bool:
        """Whether nothing stands between a word and the next one."""
        return 0 <= at < len(self.words) - 1 and self.edges[at][1] == self.edges[at + 1][0]

    def _may_lead(self, at: int) -> bool:
        return self.folded[at] in LEADING or self.words[at] == "\n" or self._is_mark(at)

    def _is_mark(self, at: int) -> bool:
        """Whether a bracket, a star, a command or the like stands there, and no end of anything."""
        return self._is_sign(at) and self.words[at] not in {".", "!", "?", ";", ","}

    def _is_sign(self, at: int) -> bool:
        word = self.words[at]
        return word != "\n" and not word[0].isalnum()

    def _skip(self, at: int, skips: Callable[[int], bool]) -> int:
        most = min(at + FARTHEST, len(self.words))
        while at < most and skips(at):
            at += 1
        return at

    def _word(self, at: int) -> str:
        return self.folded[at] if 0 <= at < len(self.folded) else ""
