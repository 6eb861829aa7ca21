"""A response while it grows, turn by turn."""

import math
from collections.abc import Sequence
from typing import Literal

from p2o.rollout.engine import Completion


class Response:
    """Tokens behind a prompt, and which of them the policy chose. None is ever cut or made anew.

    Args:
        context: Token ids of the prompt.
        budget: Tokens that may be sampled in all turns together.
        max_length: Tokens of the prompt and all that follows it; None for no limit.

    Attributes:
        token_ids: Those behind the prompt.
        turns: How often the policy had its turn.
        full: Whether something did not fit any more.
    """

    def __init__(self, context: Sequence[int], budget: int, max_length: int | None) -> None:
        self.context, self.budget, self.max_length = context, budget, max_length
        self.token_ids: list[int] = []
        self.turns = 0
        self.full = False
        self._log_probs: list[float] = []
        self._loss_mask: list[bool] = []
        self._finish_reason: Literal["stop", "length"] = "stop"
        self._sampled = 0

    @property
    def length(self) -> int:
        """Tokens of the prompt and all that follows it."""
        return len(self.context) + len(self.token_ids)

    @property
    def remaining(self) -> int:
        """Tokens that may still be sampled."""
        if self.full:
            return 0
        left = self.budget - self._sampled
        return left if self.max_length is None else max(0, min(left, self.max_length - self.length))

    def limit(self, wanted: int | None) -> int:
        """Tokens that a turn may have which wants so many; None for all that remain."""
        return self.remaining if wanted is None else min(wanted, self.remaining)

    def has_room(self, count: int) -> bool:
        """Whether so many more tokens fit into what the engine takes."""
        return self.max_length is None or self.length + count <= self.max_length

    def insert(self, token_ids: Sequence[int], learned: bool = False) -> None:
        """Add tokens that the policy has not chosen, unless they do not fit.

        Args:
            token_ids: The tokens.
            learned: Whether it is trained on them as if it had. What the engine would have given
                them for a log-probability is not known, and no number.
        """
        self.full = self.full or not self.has_room(len(token_ids))
        if not self.full:
            unknown = math.nan if learned else 0.0
            self._add(token_ids, [unknown] * len(token_ids), learned)

    def sampled(self, completion: Completion, limit: int) -> Completion:
        """Add a turn of the policy's; returns as much of it as the turn may have.

        Args:
            completion: Of the engine, which may have been asked for more on behalf of others.
            limit: Tokens of this turn.
        """
        if len(completion.token_ids) > limit:
            completion = Completion(
                completion.token_ids[:limit], "length", completion.log_probs[:limit]
            )
        self._add(completion.token_ids, completion.log_probs, True)
        self._sampled += len(completion.token_ids)
        # Where the turn was to end, the rollout may end too; an engine may stop short of that.
        short = completion.finish_reason == "length" and len(completion.token_ids) < limit
        self._finish_reason = "length" if short else "stop"
        self.turns += 1
        return completion

    def cut_off(self) -> None:
        """The policy was to go on and could not."""
        self._finish_reason = "length"

    def completion(self) -> Completion:
        """All of it, as if the engine had sampled it at once where nothing was inserted.

        It was cut off where the policy was to go on and could not, not where its last turn had a
        limit of its own and ended there.
        """
        return Completion(
            tuple(self.token_ids),
            "length" if self.full else self._finish_reason,
            tuple(self._log_probs),
            None if all(self._loss_mask) else tuple(self._loss_mask),
        )

    def _add(self, token_ids: Sequence[int], log_probs: Sequence[float], learned: bool) -> None:
        self.token_ids.extend(token_ids)
        self._log_probs.extend(log_probs)
        self._loss_mask.extend([learned] * len(token_ids))
