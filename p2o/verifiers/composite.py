"""Several verifiers as one: a weighted mean of their rewards, behind a gate."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from p2o.errors import UserError
from p2o.prompt import Prompt
from p2o.verifiers.base import HIGHEST, Score, Status, Verifier, check_positive
from p2o.verifiers.checked import as_number, ask
from p2o.verifiers.pattern import compile_pattern, failed, search_all
from p2o.verifiers.worker_pool import Failure

BAD_TO_GOOD = (
    Status.ERROR,
    Status.TIMEOUT,
    Status.PARSE_ERROR,
    Status.NO_ANSWER,
    Status.OK,
)


class Composite:
    """The weighted mean of several rewards, from 0 to 1; 0 for a response that the gate keeps out.

    The status is the worst of the parts', the answer that of the first part that found one.

    Args:
        parts: By name, ``{verifier: ..., weight: ...}``; weights are relative to each other.
        gate: What a response must pass to be scored at all: a verifier, which must find it
            solved, or a regular expression that must be found in it.

    Raises:
        UserError: There is no part, a weight is not positive, or the gate is no regular expression.
    """

    highest = HIGHEST

    def __init__(
        self, parts: Mapping[str, Mapping[str, Any]], gate: Verifier | str | None = None
    ) -> None:
        if not parts:
            raise UserError("parts: give at least one verifier")
        self.verifiers: dict[str, Verifier] = {}
        weights: dict[str, float] = {}
        for name, part in parts.items():
            if set(part) != {"verifier", "weight"}:
                raise UserError(f"parts.{name}: give verifier and weight, nothing else")
            weight = as_number(part["weight"])
            if weight is None or not 0 < weight < math.inf:
                raise UserError(f"parts.{name}.weight={part['weight']}: give a number above 0")
            self.verifiers[name], weights[name] = part["verifier"], weight
        # By the largest first, so that no sum is infinite.
        parts_of_largest = {
            name: weight / max(weights.values()) for name, weight in weights.items()
        }
        total = sum(parts_of_largest.values())
        self.shares = {name: part / total for name, part in parts_of_largest.items()}
        self.gate = Found(gate) if isinstance(gate, str) else gate

    def score(self, responses: Sequence[str], prompts: Sequence[Prompt]) -> list[Score]:
        """See `Verifier.score`.

        Raises:
            UserError: A part or the gate does not give one score for each response.
        """
        scores: dict[int, Score] = {}
        if self.gate is not None:
            gates = enumerate(ask("gate", self.gate, responses, prompts))
            scores = {index: _kept_out(gate) for index, gate in gates if not gate.solved}
        let_in = [index for index in range(len(responses)) if index not in scores]
        if not let_in:
            # A service is not asked about nothing.
            return [scores[index] for index in range(len(responses))]
        some_responses = [responses[index] for index in let_in]
        some_prompts = [prompts[index] for index in let_in]
        columns = [
            ask(f"parts.{name}", verifier, some_responses, some_prompts)
            for name, verifier in self.verifiers.items()
        ]
        for index, *row in zip(let_in, *columns, strict=True):
            scores[index] = self._combine(dict(zip(self.verifiers, row, strict=True)))
        return [scores[index] for index in range(len(responses))]

    def check_gold(self, prompts: Sequence[Prompt]) -> list[str | None]:
        """For each prompt the first part's reason why its gold answer cannot be used, or None."""
        reasons: list[str | None] = [None] * len(prompts)
        for name, verifier in self.verifiers.items():
            check = getattr(verifier, "check_gold", None)
            if check is not None:
                found = [why and f"{name}: {why}" for why in check(prompts)]
                reasons = [old or new for old, new in zip(reasons, found, strict=True)]
        return reasons

    def _combine(self, scores: Mapping[str, Score]) -> Score:
        outside = [name for name, score in scores.items() if not 0 <= score.reward <= 1]
        if outside:
            name = outside[0]
            detail = f"{name} gave {scores[name].reward}, which is not from 0 to 1"
            return Score(0.0, Status.ERROR, scores[name].answer, detail)
        # Rounding must not make a response that is right in everything less than right.
        mean = sum(self.shares[name] * score.reward for name, score in scores.items())
        right = all(score.reward == 1 for score in scores.values())
        # What a part itself says of a response is not the reward's to decide.
        said = any(score.said for score in scores.values())
        return Score(
            1.0 if right else min(mean, 1.0),
            min((score.status for score in scores.values()), key=BAD_TO_GOOD.index),
            next((s.answer for s in scores.values() if s.answer is not None), None),
            ", ".join(_describe(name, score) for name, score in scores.items()),
            all(score.solved for score in scores.values()) if said else None,
        )


class Found:
    """1 when a regular expression is found in the response.

    Args:
        pattern: In which a dot is any character.
        seconds: Deadline of one search, which a worker process makes.

    Raises:
        UserError: It is no regular expression, or `seconds` is not positive.
    """

    highest = HIGHEST

    def __init__(self, pattern: str, seconds: float = 1.0) -> None:
        check_positive(seconds=seconds)
        compile_pattern(pattern, "gate", re.DOTALL)
        self.pattern, self.seconds = pattern, seconds

    def score(self, responses: Sequence[str], prompts: Sequence[Prompt]) -> list[Score]:
        """See `Verifier.score`."""
        found = search_all(self.pattern, responses, self.seconds, last=False, flags=re.DOTALL)
        return [self._score(match) for match in found]

    def _score(self, match: str | Failure | None) -> Score:
        if isinstance(match, Failure):
            return failed(match)
        if match is None:
            return Score(0.0, Status.NO_ANSWER, detail=f"no match of {self.pattern}")
        return Score(1.0, Status.OK)


def _kept_out(gate: Score) -> Score:
    return Score(0.0, gate.status, gate.answer, f"gate closed: {gate.detail}".removesuffix(": "))


def _describe(name: str, score: Score) -> str:
    said = "" if score.status == Status.OK else f" ({score.status}: {score.detail})"
    return f"{name} {score.reward:.2f}{said}".replace(": )", ")")
