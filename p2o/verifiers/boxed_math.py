r"""Boxed mathematics: exactly one \boxed{}, equal to the gold answer (the paper's reward)."""

import re
from collections.abc import Sequence

from p2o.data.prompt import Prompt
from p2o.errors import UserError
from p2o.verifiers.base import Score, Status
from p2o.verifiers.worker_pool import Failure, KillablePool

LONGEST = 2000
"""Characters of a boxed answer that are compared; a longer one is a parse error."""
BRACE = re.compile(r"\\boxed\{|\\(?!\\boxed\{).|[{}]", re.DOTALL)
"""A box's opening, an escaped character or a brace; one pass over them is linear in any text."""


class BoxedMath:
    r"""1 when the response has exactly one \boxed{} and math-verify finds it equal to gold.

    Args:
        exactly_one: Whether more than one box is no answer; without, the last box counts.
        seconds: Deadline of one comparison; a worker that misses it is killed.
        workers: Worker processes.

    Raises:
        UserError: `seconds` or `workers` is not positive.
    """

    def __init__(self, exactly_one: bool = True, seconds: float = 5.0, workers: int = 1) -> None:
        for name, value in (("seconds", seconds), ("workers", workers)):
            if value <= 0:
                raise UserError(f"verifier.{name}={value}: give a positive number")
        self.exactly_one, self.seconds = exactly_one, seconds
        self.pool = KillablePool("p2o.verifiers.math_equal:math_equal", workers)

    def score(self, responses: Sequence[str], prompts: Sequence[Prompt]) -> list[Score]:
        """See `Verifier.score`."""
        scores = [
            self._at_once(text, prompt) for text, prompt in zip(responses, prompts, strict=True)
        ]
        hard = [index for index, score in enumerate(scores) if isinstance(score, tuple)]
        # Rollouts of one prompt share many answers.
        pairs = list(dict.fromkeys(scores[index] for index in hard))
        verdicts = dict(zip(pairs, self.pool.map(pairs, self.seconds), strict=True))
        for index in hard:
            _, answer = scores[index]  # type: ignore[misc]
            scores[index] = _to_score(verdicts[scores[index]], answer)
        return scores  # type: ignore[return-value]

    def _at_once(self, response: str, prompt: Prompt) -> Score | tuple[str, str]:
        """A score where no comparison is needed, else (gold, answer)."""
        boxes = find_boxes(response)
        if not boxes:
            return Score(0.0, Status.NO_ANSWER, detail="no \\boxed{} in the response")
        if self.exactly_one and len(boxes) > 1:
            return Score(0.0, Status.NO_ANSWER, detail=f"{len(boxes)} boxes, one was asked for")
        answer = boxes[-1].strip()
        if not answer:
            return Score(0.0, Status.NO_ANSWER, detail="the box is empty")
        gold = (find_boxes(prompt.gold) or [prompt.gold])[-1].strip()
        if answer.split() == gold.split():
            return Score(1.0, Status.OK, answer)
        if len(answer) > LONGEST:
            return Score(0.0, Status.PARSE_ERROR, answer[:80], f"{len(answer)} characters long")
        return gold, answer


def find_boxes(text: str) -> list[str]:
    r"""Contents of all \boxed{...} by balanced braces, outermost only; unclosed ones are none."""
    boxes: list[tuple[int, int]] = []
    openings: list[int | None] = []
    for token in BRACE.finditer(text):
        if token.group() == "}":
            start = openings.pop() if openings else None
            if start is not None:
                while boxes and boxes[-1][0] > start:
                    boxes.pop()
                boxes.append((start, token.start()))
        elif token.group() == "{":
            openings.append(None)
        elif token.group() == "\\boxed{":
            openings.append(token.end())
    return [text[start:end] for start, end in boxes]


def _to_score(verdict: bool | None | Failure, answer: str) -> Score:
    if isinstance(verdict, Failure):
        status = Status.TIMEOUT if verdict.timeout else Status.ERROR
        return Score(0.0, status, answer, verdict.reason)
    if verdict is None:
        return Score(0.0, Status.PARSE_ERROR, answer, "math-verify cannot read it")
    return Score(float(verdict), Status.OK, answer)
