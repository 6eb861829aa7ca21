"""A verifier around another one: no single answer ends a run, many failures do."""

import logging
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import replace

from p2o.constraints import Count, Positive, Share
from p2o.errors import UserError, located
from p2o.prompt import Prompt
from p2o.verifiers.base import (
    FAILED,
    SOLVED_REWARD,
    STOPPING,
    Score,
    Status,
    Verifier,
    highest_reward,
    reaches,
)
from p2o.verifiers.checked import with_number

logger = logging.getLogger(__name__)

FEWEST = 20
"""Failures below this number stop nothing, so that one bad answer early on does not end a run."""
SHOWN = 10
"""Failures that are logged one by one, and shown when the run stops."""


class TooManyFailures(UserError):
    """A verifier fails too often for its scores to be trusted."""


class GuardedVerifier:
    """Says what is solved, turns what a verifier throws into scores, and stops at too many.

    Args:
        verifier: The verifier that does the work.
        max_error_share: Share of errors and timeouts among recent scores above which the run
            stops, once there are 20 of them.
        window: Recent scores that are looked at, 20 at least. While there are fewer, they are
            looked at after each call.
        solved_reward: Reward from which a response counts as solved, for mining, the search,
            distillation and accuracy alike; no more than the verifier ever gives.

    Attributes:
        counts: Scores so far, by status.
    """

    def __init__(
        self,
        verifier: Verifier,
        max_error_share: Share = 0.02,
        window: Count = 500,
        solved_reward: Positive = SOLVED_REWARD,
    ) -> None:
        if not 0 <= max_error_share <= 1:
            raise UserError(f"max_error_share={max_error_share}: give 0 to 1")
        if window < FEWEST:
            raise UserError(
                f"window={window}: give at least {FEWEST}, as fewer failures stop nothing"
            )
        highest = highest_reward(verifier)
        if not reaches(highest, solved_reward):
            raise UserError(
                f"solved_reward={solved_reward}: {type(verifier).__name__} gives {highest} at "
                "most, so no response would ever be solved; give no more"
            )
        self.verifier, self.max_error_share = verifier, max_error_share
        self.solved_reward = solved_reward
        self.counts: Counter[Status] = Counter()
        self._recent: deque[bool] = deque(maxlen=window)
        self._worst: deque[str] = deque(maxlen=SHOWN)
        self._warnings = 0

    def score(self, responses: Sequence[str], prompts: Sequence[Prompt]) -> list[Score]:
        """See `Verifier.score`.

        Raises:
            TooManyFailures: Too many scores were errors or timeouts.
            UserError: The verifier cannot work.
            EngineError: A service that the verifier needs does not answer any more.
        """
        scores = self._score_all(responses, prompts)
        for score, response, prompt in zip(scores, responses, prompts, strict=True):
            self.counts[score.status] += 1
            self._recent.append(score.status in FAILED)
            if score.status in FAILED:
                self._warn(score, prompt)
                self._worst.append(f"  prompt {prompt.id}: {score.detail} | ...{response[-80:]!r}")
            # A call may have more responses than the window.
            if len(self._recent) == self._recent.maxlen:
                self._stop_if_too_many()
        self._stop_if_too_many()
        return scores

    def _score_all(self, responses: Sequence[str], prompts: Sequence[Prompt]) -> list[Score]:
        try:
            with located("verifier"):
                scores = self.verifier.score(responses, prompts)
        except STOPPING:
            raise
        # A verifier may be anybody's code and throw anything; the batch is tried one by one.
        except Exception:  # The second try names the culprit.
            return [
                self._score_one(response, prompt)
                for response, prompt in zip(responses, prompts, strict=True)
            ]
        if len(scores) != len(responses):
            raise UserError(
                f"{type(self.verifier).__name__} gave {len(scores)} scores for "
                f"{len(responses)} responses; it must give one for each, in order"
            )
        return [self._checked(score) for score in scores]

    def _score_one(self, response: str, prompt: Prompt) -> Score:
        try:
            with located("verifier"):
                [score] = self.verifier.score([response], [prompt])
        except STOPPING:
            raise
        except Exception as error:  # See above.
            detail = " ".join(f"{type(error).__name__}: {error}".split())[:200]
            return Score(0.0, Status.ERROR, detail=detail)
        return self._checked(score)

    def _warn(self, score: Score, prompt: Prompt) -> None:
        """Log the first failures one by one; how many there are is in the counts."""
        if self._warnings < SHOWN:
            logger.warning(
                "the verifier gave no verdict (%s) on prompt %s: %s",
                score.status,
                prompt.id,
                score.detail,
            )
        self._warnings += 1

    def _stop_if_too_many(self) -> None:
        failures = sum(self._recent)
        share = failures / max(1, len(self._recent))
        if failures >= FEWEST and share > self.max_error_share:
            raise TooManyFailures(
                f"{type(self.verifier).__name__} failed or timed out on {share:.1%} of "
                f"the last {len(self._recent)} responses, more than "
                f"max_error_share={self.max_error_share}\n" + "\n".join(self._worst)
            )

    def _checked(self, score: Score) -> Score:
        numbered = with_number(score)
        if numbered.failed or numbered.said:
            return numbered
        return replace(numbered, solved=reaches(numbered.reward, self.solved_reward))
