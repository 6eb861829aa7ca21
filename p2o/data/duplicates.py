"""Which prompts ask the same."""

import logging
import unicodedata
from collections.abc import Sequence

from p2o.data.prompt import Prompt

logger = logging.getLogger(__name__)


def asked(prompt: Prompt) -> str:
    r"""What a prompt asks, without white space: equal for prompts that ask the same.

    Example::

        >>> one, other = ({"role": "user", "content": text} for text in ("1 +1?", "1\u00a0+ 1?\n"))
        >>> asked(Prompt.create([one], "2")) == asked(Prompt.create([other], "2"))
        True
    """
    text = unicodedata.normalize("NFC", prompt.question)
    # Format characters, such as a space of no width, are not seen either.
    return "".join(c for c in text if not c.isspace() and unicodedata.category(c) != "Cf")


def warn_of_contradictions(location: str, prompts: Sequence[Prompt]) -> None:
    """Warn of a question with different answers in different rows."""
    golds: dict[str, set[str]] = {}
    for prompt in prompts:
        golds.setdefault(asked(prompt), set()).add(prompt.gold)
    contradicted = [prompt for prompt in prompts if len(golds[asked(prompt)]) > 1]
    if contradicted:
        logger.warning(
            "%s: %d questions have different answers in different rows, the first is %.60r",
            location,
            len({asked(prompt) for prompt in contradicted}),
            contradicted[0].question,
        )
