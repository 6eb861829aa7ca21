r"""Boxed mathematics: exactly one \boxed{}, equal to the gold answer (the paper's reward)."""

from collections.abc import Sequence

from p2o.data.prompt import Prompt
from p2o.errors import UserError
from p2o.verifiers.base import Score, Status
from p2o.verifiers.worker_pool import Failure, KillablePool

LONGEST = 2000
"""Characters of a boxed answer that are compared; a longer one is a parse error."""


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
        verdicts = self.pool.map([scores[index] for index in hard], self.seconds)
        for index, verdict in zip(hard, verdicts, strict=True):
            _, answer = scores[index]  # type: ignore[misc]
            scores[index] = _to_score(verdict, answer)
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
        if "".join(answer.split()) == "".join(gold.split()):
            return Score(1.0, Status.OK, answer)
        if len(answer) > LONGEST:
            return Score(0.0, Status.PARSE_ERROR, answer[:80], f"{len(answer)} characters long")
        return gold, answer


def find_boxes(text: str) -> list[str]:
    r"""Contents of all \boxed{...} by balanced braces, outermost first; unclosed ones are none."""
    boxes, start = [], 0
    while (found := text.find("\\boxed{", start)) >= 0:
        opening = found + len("\\boxed{")
        depth, end = 1, opening
        while end < len(text) and depth:
            if text[end] == "\\":
                end += 2
                continue
            depth += {"{": 1, "}": -1}.get(text[end], 0)
            end += 1
        if depth:
            # No box that starts here or later inside can end.
            start = opening
            if "}" not in text[opening:]:
                break
            continue
        boxes.append(text[opening : end - 1])
        start = end
    return boxes


def _to_score(verdict: bool | None | Failure, answer: str) -> Score:
    if isinstance(verdict, Failure):
        status = Status.TIMEOUT if verdict.timeout else Status.ERROR
        return Score(0.0, status, answer, verdict.reason)
    if verdict is None:
        return Score(0.0, Status.PARSE_ERROR, answer, "math-verify cannot read it")
    return Score(float(verdict), Status.OK, answer)
