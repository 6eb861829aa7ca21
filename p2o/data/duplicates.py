"""Which prompts ask the same."""

import logging
import re
import unicodedata
from collections.abc import Sequence

from p2o.prompt import Prompt

logger = logging.getLogger(__name__)

UNSEEN = re.compile(r"[\s\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff]+")
"""White space, and characters that show nothing, such as a space of no width."""


def asked(prompt: Prompt) -> str:
    r"""What a prompt asks, without white space: equal for prompts that ask the same.

    Example::

        >>> one, other = ({"role": "user", "content": text} for text in ("1 +1?", "1\u00a0+ 1?\n"))
        >>> asked(Prompt.create([one], "2")) == asked(Prompt.create([other], "2"))
        True
    """
    return UNSEEN.sub("", unicodedata.normalize("NFC", prompt.question))


def warn_of_contradictions(location: str, prompts: Sequence[Prompt]) -> None:
    """Warn of a question with different answers in different rows."""
    golds: dict[str, set[str]] = {}
    first: dict[str, str] = {}
    for prompt in prompts:
        key = asked(prompt)
        golds.setdefault(key, set()).add(prompt.gold)
        first.setdefault(key, prompt.question)
    contradicted = [first[key] for key, answers in golds.items() if len(answers) > 1]
    if contradicted:
        logger.warning(
            "%s: %d questions have different answers in different rows, the first is %.60r",
            location,
            len(contradicted),
            contradicted[0],
        )
