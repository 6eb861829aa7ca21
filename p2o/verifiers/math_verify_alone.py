"""math-verify as it comes, without a rule of ours: for comparison."""

import importlib
import logging
from collections.abc import Sequence

from p2o.data.prompt import Prompt
from p2o.verifiers.base import Score, check_positive
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

    def __init__(self, seconds: float = 5.0, workers: int = 1) -> None:
        check_positive(seconds=seconds, workers=workers)
        self.seconds = seconds
        name = "p2o.verifiers.math_verify_alone:judge"
        self.pool = KillablePool(name, workers, memory=MEMORY, warm_up="warm_up")

    def score(self, responses: Sequence[str], prompts: Sequence[Prompt]) -> list[Score]:
        """See `Verifier.score`."""
        asked = [(prompt.golds, text) for text, prompt in zip(responses, prompts, strict=True)]
        different = list(dict.fromkeys(asked))
        results = dict(zip(different, self.pool.map(different, self.seconds), strict=True))
        return [_to_score(results[item]) for item in asked]


def warm_up() -> None:
    """Import the library, and have it build its tables, before the first deadline begins."""
    judge((("x+x",), "\\boxed{2x}"))


def judge(item: tuple[Sequence[str], str]) -> Judged:
    """Compare a response with gold answers; runs in a worker."""
    library = importlib.import_module("math_verify")
    # Deadlines are the pool's. The library warns that its own, which are alarms, are off.
    logging.getLogger("math_verify").setLevel(logging.ERROR)
    golds, response = item
    answer = library.parse(response, parsing_timeout=None)
    if not answer:
        return None, ""
    known = [library.parse(f"\\boxed{{{gold}}}", parsing_timeout=None) for gold in golds]
    if not any(known):
        return Verdict.BAD_GOLD, str(answer[-1])
    equal = any(library.verify(gold, answer, timeout_seconds=None) for gold in known)
    return Verdict.EQUAL if equal else Verdict.UNEQUAL, str(answer[-1])


def _to_score(judged: Judged | Failure) -> Score:
    verdict, answer = (judged, "") if isinstance(judged, Failure) else judged
    return to_score(verdict, answer, "math-verify finds no answer")
