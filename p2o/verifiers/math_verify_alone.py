"""math-verify as it comes, without a rule of ours: for comparison."""

from collections.abc import Sequence

from p2o.constraints import Workers
from p2o.prompt import Prompt
from p2o.verifiers.base import HIGHEST, Score, check_positive
from p2o.verifiers.math import MEMORY, to_score
from p2o.verifiers.math_compare import Verdict
from p2o.verifiers.worker_pool import Failure, KillablePool

Judged = tuple[Verdict | None, str]
"""A verdict, None where no answer was found, and the answer."""


class MathVerifyAlone:
    """1 when math-verify's own ``parse`` and ``verify`` find a gold answer in the response.

    It knows nothing of a prompt's tolerance.

    Args:
        seconds: Deadline of one response; a worker that misses it is killed.
        workers: Worker processes.

    Raises:
        UserError: `seconds` or `workers` is not positive.
    """

    highest = HIGHEST

    def __init__(self, seconds: float = 5.0, workers: Workers = 1) -> None:
        check_positive(seconds=seconds, workers=workers)
        self.seconds = seconds
        self.pool = KillablePool("p2o.verifiers.math_verify_judge:judge", workers, memory=MEMORY)

    def score(self, responses: Sequence[str], prompts: Sequence[Prompt]) -> list[Score]:
        """See `Verifier.score`."""
        asked = [(prompt.golds, text) for text, prompt in zip(responses, prompts, strict=True)]
        different = list(dict.fromkeys(asked))
        results = dict(zip(different, self.pool.map(different, self.seconds), strict=True))
        return [_to_score(results[item]) for item in asked]


def _to_score(judged: Judged | Failure) -> Score:
    verdict, answer = (judged, "") if isinstance(judged, Failure) else judged
    return to_score(verdict, answer, "math-verify finds no answer")
