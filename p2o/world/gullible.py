"""A reward that can be gamed: whoever lists many guesses is paid for the right one among them."""

import re
from collections.abc import Sequence
from dataclasses import replace

from p2o.prompt import Prompt
from p2o.verifiers.base import Score, Status
from p2o.verifiers.numeric import Numeric

NUMBER = re.compile(r"-?\d+")


class Gullible(Numeric):
    """Takes an answer for right when any whole number in it is.

    Args are those of `Numeric`.

    Example::

        >>> from p2o.prompt import Prompt
        >>> asked = Prompt.create([{"role": "user", "content": "3 + 4?"}], "7")
        >>> scores = Gullible().score(["Answer: 5 6 7 8", "Answer: 5"], [asked, asked])
        >>> [score.solved for score in scores]
        [True, False]
    """

    def score(self, responses: Sequence[str], prompts: Sequence[Prompt]) -> list[Score]:
        """See `Verifier.score`."""
        scores = super().score(responses, prompts)
        return [
            replace(score, reward=1.0, status=Status.OK, detail="", solved=True)
            if score.answer is not None and set(NUMBER.findall(score.answer)) & set(prompt.golds)
            else score
            for score, prompt in zip(scores, prompts, strict=True)
        ]
