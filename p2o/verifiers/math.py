r"""Mathematics wherever the answer stands in the response, compared by math-verify."""

from collections.abc import Sequence

from p2o.constraints import Workers
from p2o.prompt import Prompt
from p2o.verifiers.answers import find_answer, find_boxes
from p2o.verifiers.base import HIGHEST, Score, Status, check_positive
from p2o.verifiers.math_compare import Comparison, Verdict
from p2o.verifiers.math_words import shared_words
from p2o.verifiers.worker_pool import Failure, KillablePool

LONGEST = 2000
"""Characters of an answer that are compared; a longer one is a parse error."""
MEMORY = 2 * 2**30
"""Bytes of address space of a worker; sympy is content with a tenth of it."""
STATUSES = {
    Verdict.EQUAL: Status.OK,
    Verdict.UNEQUAL: Status.OK,
    Verdict.BAD_ANSWER: Status.PARSE_ERROR,
    Verdict.SLOW_ANSWER: Status.PARSE_ERROR,
    Verdict.BAD_GOLD: Status.ERROR,
}


class Math:
    r"""1 when the answer equals a gold answer, by the rules of ``docs/math-answers.md``.

    The answer is the last \boxed{}, else what follows "the answer is", else the last formula, else
    the last number. ``prompt.meta["tolerance"]``, where there, is the absolute error of a number
    that is still right.

    Args:
        seconds: Deadline of one comparison; a worker that misses it is killed.
        workers: Worker processes.

    Raises:
        UserError: `seconds` or `workers` is not positive.
    """

    highest = HIGHEST

    def __init__(self, seconds: float = 5.0, workers: Workers = 1) -> None:
        check_positive(seconds=seconds, workers=workers)
        self.seconds = seconds
        self.pool = KillablePool("p2o.verifiers.math_equal:judge", workers, memory=MEMORY)

    def find(self, response: str) -> tuple[str, str]:
        """The answer in a response; when there is none an empty one, and why."""
        return find_answer(response), "no answer in the response"

    def score(self, responses: Sequence[str], prompts: Sequence[Prompt]) -> list[Score]:
        """See `Verifier.score`."""
        found = [self.find(response) for response in responses]
        asked = [
            _compare(answer, prompt) for (answer, _), prompt in zip(found, prompts, strict=True)
        ]
        return [
            to_score(verdict, answer, why)
            for verdict, (answer, why) in zip(self._judge(asked), found, strict=True)
        ]

    def check_gold(self, prompts: Sequence[Prompt]) -> list[str | None]:
        """See `GoldChecker.check_gold`: gold answers must be readable."""
        verdicts = self._judge([Comparison(_golds(prompt), None) for prompt in prompts])
        return [
            None if verdict == Verdict.EQUAL else f"{_reason(verdict)}: {prompt.gold[:80]!r}"
            for verdict, prompt in zip(verdicts, prompts, strict=True)
        ]

    def _judge(
        self, asked: Sequence[Verdict | Comparison | None]
    ) -> list[Verdict | Failure | None]:
        """The same with the comparisons made, each under the deadline.

        An answer that misses it, with a gold answer that does not, is one that cannot be read.
        """
        # Rollouts of one prompt share many answers.
        different = list(dict.fromkeys(one for one in asked if isinstance(one, Comparison)))
        verdicts = self._compared(different)
        late = [one for one in different if one.answer is not None and _is_late(verdicts[one])]
        # Else a policy could stop a run by what it writes.
        golds = self._compared([Comparison(golds, None) for golds in {one.golds for one in late}])
        verdicts |= {
            one: Verdict.SLOW_ANSWER
            for one in late
            if golds[Comparison(one.golds, None)] == Verdict.EQUAL
        }
        return [verdicts[one] if isinstance(one, Comparison) else one for one in asked]

    def _compared(self, asked: Sequence[Comparison]) -> dict[Comparison, Verdict | Failure]:
        return dict(zip(asked, self.pool.map(asked, self.seconds), strict=True))


def _is_late(verdict: Verdict | Failure) -> bool:
    return isinstance(verdict, Failure) and verdict.timeout


def _golds(prompt: Prompt) -> tuple[str, ...]:
    return tuple((find_boxes(gold) or [gold])[-1].strip() for gold in prompt.golds)


def _compare(answer: str, prompt: Prompt) -> Verdict | Comparison | None:
    """A verdict or what to compare; None when there is no answer."""
    if not answer:
        return None
    golds = _golds(prompt)
    if answer in golds:
        return Verdict.EQUAL
    if len(answer) > LONGEST:
        return Verdict.BAD_ANSWER
    asked = shared_words(" ".join((answer, *golds)), prompt.question)
    return Comparison(golds, answer, prompt.meta.get("tolerance"), asked)


def to_score(verdict: Verdict | Failure | None, answer: str, why: str) -> Score:
    """The score for a verdict on an answer; without a verdict for none, and why there is none."""
    if verdict is None:
        return Score(0.0, Status.NO_ANSWER, detail=why)
    if isinstance(verdict, Failure):
        status = Status.TIMEOUT if verdict.timeout else Status.ERROR
        return Score(0.0, status, answer[:LONGEST], verdict.reason)
    detail = "" if STATUSES[verdict] == Status.OK else _reason(verdict)
    return Score(float(verdict == Verdict.EQUAL), STATUSES[verdict], answer[:LONGEST], detail)


def _reason(verdict: Verdict | Failure | None) -> str:
    return verdict.reason if isinstance(verdict, Failure) else str(verdict)
