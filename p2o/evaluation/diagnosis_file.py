"""A diagnosis as JSON, for machines."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from p2o.evaluation.diagnosis import Diagnosis, Estimate, Price, TriedProblem, outcome

VERSION = 1


@dataclass(frozen=True)
class Advice:
    """One thing to do.

    Attributes:
        what: The change.
        why: The numbers.
    """

    what: str
    why: str


def as_json(
    diagnosis: Diagnosis, advice: Sequence[Advice], sizes: Sequence[int], seconds: float
) -> dict[str, Any]:
    """All of it: primitives, None where a number is not known or infinite.

    Args:
        diagnosis: What was sampled.
        advice: What follows from it.
        sizes: Of groups, and k of pass@k.
        seconds: What it took.
    """
    return {
        "version": VERSION,
        "spent": {
            "rollouts": len(diagnosis.rollouts),
            "hinted_rollouts": sum(len(hint.rollouts) for hint in diagnosis.hints),
            "seconds": seconds,
        },
        "outcomes": {each.value: share for each, share in diagnosis.shares.items()},
        "problems": [_problem(each, diagnosis, sizes) for each in diagnosis.problems],
        "contrast": [_price(diagnosis.price(size)) for size in sizes],
        "hints": [
            {"text": hint.text, "tried": len(hint.rollouts), "reached": list(hint.reached)}
            for hint in diagnosis.hints
        ],
        "telling": [
            {
                "what": what,
                "problem": rollout.prompt.id,
                "outcome": outcome(rollout).value,
                "response": rollout.response,
                "golds": list(rollout.prompt.golds),
                "reward": None if rollout.score.failed else rollout.score.reward,
                "detail": rollout.score.detail,
            }
            for what, rollout in diagnosis.telling()
        ],
        "advice": [{"what": each.what, "why": each.why} for each in advice],
    }


def _problem(problem: TriedProblem, diagnosis: Diagnosis, sizes: Sequence[int]) -> dict[str, Any]:
    rewards = [rollout.score.reward for rollout in problem.judged]
    return {
        "id": problem.prompt.id,
        "question": problem.prompt.question,
        "golds": list(problem.prompt.golds),
        "judged": len(problem.judged),
        "solved": problem.solved,
        "mean_reward": fmean(rewards) if rewards else None,
        "pass": {str(k): _estimate(problem.pass_at(k)) for k in (1, *sizes)},
        "reached_by": [hint.text for hint in diagnosis.reached.get(problem.prompt.id, ())],
    }


def _estimate(estimate: Estimate | None) -> list[float] | None:
    return None if estimate is None else [estimate.value, estimate.low, estimate.high]


def _price(price: Price) -> dict[str, float | None]:
    ends = (price.rollouts, price.least, price.most)
    rollouts, least, most = (end if math.isfinite(end) else None for end in ends)
    return {
        "group_size": price.size,
        "chance": price.chance,
        "rollouts": rollouts,
        "least": least,
        "most": most,
    }
