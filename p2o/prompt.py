"""A prompt: what is asked, what is right, and an identity that survives reordering."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from p2o.errors import UserError

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
        source: Name of the source or benchmark that it comes from, where there are several.
    """

    messages: tuple[Message, ...]
    gold: str
    id: str
    meta: Mapping[str, Any] = field(default_factory=dict)
    alternatives: tuple[str, ...] = ()
    source: str = ""

    @classmethod
    def create(
        cls,
        messages: Sequence[Message],
        gold: str,
        alternatives: Sequence[str] = (),
        /,
        **meta: Any,
    ) -> "Prompt":
        """Make a prompt whose id is derived from its messages and answers.

        Raises:
            UserError: The content of a message is no text.
        """
        turns = tuple({**message, "content": as_text(message["content"])} for message in messages)
        content = json.dumps([turns, gold, *alternatives], sort_keys=True)
        digest = hashlib.sha256(content.encode()).hexdigest()[:16]
        return cls(turns, gold, digest, meta, tuple(alternatives))

    @property
    def golds(self) -> tuple[str, ...]:
        """Every answer that is right; one of them is enough."""
        return (self.gold, *self.alternatives)

    @property
    def question(self) -> str:
        """What is asked: the text of the message, or every turn of a longer conversation."""
        if len(self.messages) == 1:
            return self.messages[0]["content"]
        return "\n\n".join(f"{turn['role']}: {turn['content']}" for turn in self.messages)


def as_text(content: object) -> str:
    r"""The text of a message, which may be there as a list of parts.

    Example::

        >>> as_text([{"type": "text", "text": "What is "}, {"type": "text", "text": "2 + 2?"}])
        'What is 2 + 2?'

    Raises:
        UserError: A part is no text, such as an image, or the text is none that can be encoded.
    """
    if isinstance(content, list | tuple):
        parts = [part.get("text") if isinstance(part, Mapping) else part for part in content]
    else:
        parts = [content]
    texts = [part for part in parts if isinstance(part, str)]
    if len(texts) < len(parts):
        raise UserError(f"the content of a message is no text but {content!r:.60}")
    text = "".join(texts)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise UserError(f"the content of a message is no text ({error})") from error
    return text


def hint_id(label: str) -> str:
    """The id of a hint, which goes by its label; "" for the empty one.

    Args:
        label: See `p2o_callbacks.Hint.label`.

    Returns:
        The first 12 hex digits of the SHA-256.

    Example::

        >>> hint_id("Think step by step."), hint_id("  ")
        ('c437b0fb999e', '')
    """
    if not label.strip():
        return ""
    return hashlib.sha256(label.encode()).hexdigest()[:12]
