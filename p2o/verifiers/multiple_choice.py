r"""Multiple choice: the letter that a response chooses against the gold letter."""

import re
from collections.abc import Sequence

from p2o.data.prompt import Prompt
from p2o.errors import UserError
from p2o.verifiers.answers import find_boxes
from p2o.verifiers.base import Score, Status

MOST = 10
"""Choices, A to J."""
LETTER = r"(?:[B-HJ]|[AI](?!\s+(?!or\b|and\b|because\b|since\b|as\b)[a-z]))(?![\w'])"
"""A letter that stands alone; before another word A and I are words themselves."""
MARKS = r"(?:\\[a-z]+\s*|[^\w\n]){0,12}"
"""Brackets, stars, commands and spaces around a letter."""
SEVERAL = rf"{LETTER}(?:{MARKS}(?:or|and|,|/|&){MARKS}{LETTER})*"
FORMS = tuple(
    re.compile(form, re.IGNORECASE | re.MULTILINE)
    for form in (
        # The answer is (B). Answer: B
        rf"\banswer\s*(?:is|:){MARKS}(?:(?:option|choice)\s+)?{MARKS}({SEVERAL})",
        # A line with nothing else, but perhaps the text of the choice: **B**, (B), B. Paris
        rf"^\W*({SEVERAL})(?:[^\w\n]*$|[).:])",
        rf"\b(?:option|choice)\s+{MARKS}({SEVERAL})",
        # (B) or **B** within a text.
        rf"(?:\(|\*\*)({LETTER})(?:\)|\*\*)",
    )
)
"""How a letter is chosen, the surest first."""
BOXED = re.compile(rf"^{MARKS}({SEVERAL})(?:{MARKS}$|[).:])", re.IGNORECASE)


class MultipleChoice:
    r"""1 when the response chooses the gold letter, and no other one.

    The letter is looked for in a \boxed{}, behind "the answer is", on a line of its own, behind
    "option", in brackets. The first of these forms that is there counts; when its letters differ,
    there is no answer.

    Args:
        choices: Number of choices, 2 to 10.
        first_index: Index of choice A where gold answers are indices; None where they are letters.

    Raises:
        UserError: `choices` is out of range.
    """

    def __init__(self, choices: int = 4, first_index: int | None = None) -> None:
        if not 2 <= choices <= MOST:
            raise UserError(f"choices={choices}: give 2 to {MOST}")
        self.letters, self.first_index = "ABCDEFGHIJ"[:choices], first_index

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
        letters = find_letters(response)
        if not letters:
            return Score(0.0, Status.NO_ANSWER, detail="no letter in the response")
        if len(letters) > 1:
            return Score(0.0, Status.NO_ANSWER, detail=f"several letters: {', '.join(letters)}")
        [letter] = letters
        if letter not in self.letters:
            return Score(0.0, Status.PARSE_ERROR, letter, f"not one of {self.letters}")
        return Score(float(letter in golds), Status.OK, letter)

    def _golds(self, prompt: Prompt) -> set[str]:
        if self.first_index is None:
            found = {gold.strip(" ().*").upper() for gold in prompt.golds}
            return {letter for letter in found if len(letter) == 1 and letter in self.letters}
        places = [int(gold) - self.first_index for gold in prompt.golds if gold.strip().isdecimal()]
        return {self.letters[place] for place in places if 0 <= place < len(self.letters)}


def find_letters(response: str) -> list[str]:
    """The letters chosen, each once, in the order of the alphabet."""
    boxes = find_boxes(response)
    if boxes:
        statements = BOXED.findall(boxes[-1])
    else:
        statements = next(filter(None, (form.findall(response) for form in FORMS)), [])
    letters = (re.findall(rf"\b{LETTER}", text, re.IGNORECASE) for text in statements)
    return sorted({letter.upper() for found in letters for letter in found})
