"""What the policy is told beside a problem when it grades its own responses."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from p2o.constraints import Count
from p2o.errors import UserError

PLACE = re.compile(r"\{(question|solution|gold)\}")
SECRETS = {"{gold}": "the right answer", "{solution}": "of a success"}


@dataclass(frozen=True)
class Told:
    r"""A problem together with what the policy does not know when it answers it.

    Responses are sampled on the bare problem, and then scored by the policy itself behind this
    text, its own teacher (SDPO, arXiv 2601.20802, and RLSD, arXiv 2604.03128).

    Example::

        >>> told = Told("{question}\nCorrect solution: {solution}")
        >>> told.texts("2 + 2?", "4", ["5", "4"], [False, True])
        ['2 + 2?\nCorrect solution: 4', None]

    Attributes:
        text: Stands in place of the problem. ``{question}`` is the problem, ``{solution}`` a
            response to it that was solved, of the same group and never the one that is graded,
            ``{gold}`` the right answer.
        longest: The most tokens of this context. A longer one is left out, never cut. Nothing is
            sampled behind it, so that the budget of prompts does not hold.

    Raises:
        UserError: The text leaves out the question, or tells nothing.
    """

    text: str
    longest: Count = 10_240

    def __post_init__(self) -> None:
        if "{question}" not in self.text:
            raise UserError(f"text={self.text!r:.60}: write {{question}} where the problem stands")
        if not any(secret in self.text for secret in SECRETS):
            raise UserError(
                f"text={self.text!r:.60}: tells nothing; write {{solution}} for a response of the "
                "group that was solved, or {gold} for the right answer"
            )

    @property
    def what(self) -> str:
        """What the policy is told, in a message."""
        return " and ".join(name for secret, name in SECRETS.items() if secret in self.text)

    def texts(
        self, question: str, gold: str, responses: Sequence[str], solved: Sequence[bool | None]
    ) -> list[str | None]:
        """What is told when each response of a group is graded; None where nothing can be.

        All responses are told of the first one that is solved, and that one of the second, so that
        their contexts are the same and go through the network once.

        Args:
            question: The problem.
            gold: The right answer.
            responses: Of the group.
            solved: The verifier's verdicts; None where there is none.
        """
        successes = [index for index, right in enumerate(solved) if right]
        texts: list[str | None] = []
        for index in range(len(responses)):
            sibling = next((other for other in successes if other != index), None)
            if sibling is None and "{solution}" in self.text:
                texts.append(None)
                continue
            solution = "" if sibling is None else responses[sibling]
            filled = {"question": question, "solution": solution.strip(), "gold": gold}
            # In one go: what is filled in may have braces of its own.
            texts.append(PLACE.sub(lambda place, filled=filled: filled[place.group(1)], self.text))
        return texts
