"""A prompt: what is asked, what is right, and an identity that survives reordering."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

Message = Mapping[str, str]
"""One chat message with the keys ``role`` and ``content``."""


class Context(StrEnum):
    """What stands in front of a response."""

    BARE = "bare"
    """The prompt x."""
    TEMPLATED = "templated"
    """The prompt with its template, T(x, z)."""


@dataclass(frozen=True)
class Prompt:
    """One problem.

    Attributes:
        messages: The conversation that asks for a solution; its last message is the user's.
        gold: The right answer, as text.
        id: A hash of the content, so that hard sets and assignments outlive a reordered file.
        meta: Whatever else the row had that a verifier or a report may want.
        alternatives: Other answers that are right as well.
    """

    messages: tuple[Message, ...]
    gold: str
    id: str
    meta: Mapping[str, Any] = field(default_factory=dict)
    alternatives: tuple[str, ...] = ()

    @classmethod
    def create(
        cls,
        messages: Sequence[Message],
        gold: str,
        alternatives: Sequence[str] = (),
        **meta: Any,
    ) -> "Prompt":
        """Make a prompt whose id is derived from its messages and answers."""
        content = json.dumps([[dict(m) for m in messages], gold, *alternatives], sort_keys=True)
        digest = hashlib.sha256(content.encode()).hexdigest()[:16]
        return cls(tuple(messages), gold, digest, meta, tuple(alternatives))

    @property
    def golds(self) -> tuple[str, ...]:
        """Every answer that is right; one of them is enough."""
        return (self.gold, *self.alternatives)

    @property
    def question(self) -> str:
        """The text of the last message."""
        return self.messages[-1]["content"]
