r"""Multiple choice: the letter that a response chooses against the gold letter."""

import re
from collections.abc import Sequence

from p2o.errors import UserError
from p2o.prompt import Prompt
from p2o.verifiers.answers import find_boxes
from p2o.verifiers.base import HIGHEST, Score, Status
from p2o.verifiers.choice_text import ChoiceText, Statement
from p2o.verifiers.choice_words import LETTERS

SEPARATORS = re.compile(r"\band\b|[\s,;/&()\[\].*]+", re.IGNORECASE)
"""What may stand around the letters or indices of a gold answer."""


class MultipleChoice:
    r"""1 when the response chooses the gold letter, and no other one.

    The letter is looked for in a \boxed{}, behind "the answer is", on a line of its own, behind
    "option" or before "is correct", in brackets. The first of these forms that is there counts;
    when its letters differ, there is no answer. Where "the answer is" stands on several lines, the
    last one counts. A gold answer of several letters, ``ACD``, asks for all of them.

    Args:
        choices: Number of choices, 2 to 10.
        first_index: Index of choice A where gold answers are indices; None where they are letters.

    Raises:
        UserError: `choices` is out of range.
    """

    highest = HIGHEST

    def __init__(self, choices: int = 4, first_index: int | None = None) -> None:
        if not 2 <= choices <= len(LETTERS):
            raise UserError(f"choices={choices}: give 2 to {len(LETTERS)}")
        self.letters, self.first_index = LETTERS[:choices], first_index

    def score(self, responses: Sequence[str], prompts: Sequence[Prompt]) -> list[Score]:
        """See `Verifier.score`."""
        return [self._score(text, prompt) for text, prompt in zip(responses, prompts, strict=True)]

    def check_gold(self, prompts: Sequence[Prompt]) -> list[str | None]:
        """See `GoldChecker.check_gold`: one gold answer must be a choice."""
        kind = "letter" if self.first_index is None else f"index from {self.first_index}"
        return [
            None
            if self._golds(prompt)
            else f"the gold answer {prompt.gold[:80]!r} is no {kind} of {self.letters}; set "
            "choices and first_index"
            for prompt in prompts
        ]

    def _score(self, response: str, prompt: Prompt) -> Score:
        golds = self._golds(prompt)
        if not golds:
            return Score(0.0, Status.ERROR, detail=f"gold {prompt.gold[:80]!r} is no choice")
        several = any(len(gold) > 1 for gold in golds)
        statements = find_statements(response, several)
        if not statements:
            return Score(0.0, Status.NO_ANSWER, detail="no letter in the response")
        letters = _letters(statements)
        if any(one.open or one.letters != letters for one in statements) or (
            len(letters) > 1 and not several
        ):
            return Score(0.0, Status.NO_ANSWER, detail=f"several letters: {', '.join(letters)}")
        if not set(letters) <= set(self.letters):
            return Score(0.0, Status.PARSE_ERROR, letters, f"not of {self.letters}")
        return Score(float(letters in golds), Status.OK, letters)

    def _golds(self, prompt: Prompt) -> set[str]:
        """Gold answers as their letters in order."""
        found = (self._gold(SEPARATORS.sub(" ", gold).split()) for gold in prompt.golds)
        return {letters for letters in found if letters}

    def _gold(self, words: Sequence[str]) -> str:
        if self.first_index is None:
            one = len(words) == 1 and len(words[0]) == 1
            letters = "".join(words).upper() if one else "".join(words)
        else:
            places = [int(word) - self.first_index for word in words if word.isdecimal()]
            known = len(places) == len(words) and all(p in range(len(self.letters)) for p in places)
            letters = "".join(self.letters[place] for place in places) if known else ""
        choices = set(letters)
        usable = choices <= set(self.letters) and len(choices) == len(letters)
        return "".join(sorted(choices)) if usable else ""


def find_statements(response: str, joined: bool = False) -> list[Statement]:
    """What a response states of its choice, in the surest form that is there.

    Args:
        response: A text.
        joined: See `ChoiceText`.
    """
    boxes = find_boxes(response)
    if boxes:
        return ChoiceText(boxes[-1], joined).whole()
    text = ChoiceText(response, joined)
    forms = (text.answers, text.heads, text.picks, text.marked)
    return next(filter(None, (form() for form in forms)), [])


def _letters(statements: Sequence[Statement]) -> str:
    return "".join(sorted({letter for one in statements for letter in one.letters}))
