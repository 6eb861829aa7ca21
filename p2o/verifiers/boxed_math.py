r"""Boxed mathematics: exactly one \boxed{}, equal to the gold answer (the paper's reward)."""

from p2o.constraints import Workers
from p2o.verifiers.answers import find_boxes
from p2o.verifiers.math import Math


class BoxedMath(Math):
    r"""1 when the response has exactly one \boxed{} and it equals a gold answer.

    Args:
        exactly_one: Whether more than one box is no answer; without, the last box counts.
        seconds: See `Math`.
        workers: See `Math`.

    Raises:
        UserError: `seconds` or `workers` is not positive.
    """

    def __init__(
        self, exactly_one: bool = True, seconds: float = 5.0, workers: Workers = 1
    ) -> None:
        super().__init__(seconds, workers)
        self.exactly_one = exactly_one

    def find(self, response: str) -> tuple[str, str]:
        """See `Math.find`."""
        boxes = find_boxes(response)
        if not boxes:
            return "", "no \\boxed{} in the response"
        if self.exactly_one and len(boxes) > 1:
            return "", f"{len(boxes)} boxes, one was asked for"
        return boxes[-1].strip(), "the box is empty or a part of more"
