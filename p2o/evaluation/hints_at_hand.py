"""Hints that a run could begin with: those that its reflection source gives for bare failures."""

from collections.abc import Sequence
from itertools import islice

from p2o.evaluation.diagnosis import TriedProblem
from p2o.hints.insertion import read_template
from p2o.prompt import Prompt
from p2o.reflection.base import Reflection, ReflectionRequest
from p2o.reflection.phrasebook import Phrasebook
from p2o.rollout.runner import Rollout
from p2o.running.seeds import derive_seed

SHOWN = 3
"""Failures that a reflection is told of, B of the paper."""


def hints_at_hand(
    reflection: Reflection, problems: Sequence[TriedProblem], number: int, seed: int
) -> list[str]:
    """Up to `number` different hints.

    A phrasebook gives its phrases, in their order. Any other backend is asked once for each, told
    of failures on three problems at a time, and may write the same twice or fail.

    Args:
        reflection: Bound already.
        problems: Without a right rollout.
        number: Hints that are asked for.
        seed: Of the requests.
    """
    if isinstance(reflection, Phrasebook):
        return list(islice(reflection.phrases, number))
    failures = [problem.judged[0] for problem in problems]
    requests = [
        ReflectionRequest(
            "",
            [_record(failures[(SHOWN * n + i) % len(failures)]) for i in range(SHOWN)],
            derive_seed(seed, "doctor", "reflection", n),
        )
        for n in range(number)
    ]
    written = map(read_template, reflection.reflect(requests))
    return list(dict.fromkeys(text for text in written if text is not None))


def _record(rollout: Rollout) -> dict[str, object]:
    prompt: Prompt = rollout.prompt
    found = "no answer was found" if rollout.score.answer is None else "the answer is wrong"
    return {
        "Inputs": prompt.question,
        "Generated Outputs": rollout.response,
        "Feedback": f"{found}; the right one is {prompt.gold}",
        "score": rollout.score.reward,
        "solved": False,
    }
