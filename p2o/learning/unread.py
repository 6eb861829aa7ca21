"""Advice where a verifier can read next to none of the responses of an epoch."""

import inspect
from collections.abc import Mapping, Sequence

from p2o.rollout.rendering import ChatRenderer
from p2o.rollout.runner import Rollout, RolloutRunner
from p2o.verifiers.base import Status, Verifier

NEARLY_ALL = 0.9
"""Share of an epoch's responses from which there is advice."""
SHOWN = 120
"""Characters of a response that are shown: its end, where an answer would be."""
NAMES = {"suffix": "the renderer's suffix", "max_new_tokens": "the training's max_new_tokens"}
"""What advice calls the arguments that it is about, where nobody has said where they are set."""


class UnreadResponses:
    """Counts responses that have no answer, or were cut off before they could have one.

    Args:
        keys: What to call the arguments in `NAMES` instead: the keys that set them.
    """

    def __init__(self, keys: Mapping[str, str] | None = None) -> None:
        self._names = {**NAMES, **(keys or {})}
        self._start()

    def see(self, groups: Sequence[Sequence[Rollout]]) -> None:
        """Take note of a batch of groups."""
        for rollout in (rollout for group in groups for rollout in group):
            cut = rollout.completion.finish_reason == "length"
            without = rollout.score.status == Status.NO_ANSWER
            self._all += 1
            self._cut += cut
            self._without += without
            self._either += cut or without
            # A whole response tells most.
            if without and not cut or self._example is None and (without or cut):
                self._example = rollout

    def advice(self, runner: RolloutRunner, limit: int) -> str | None:
        """One line, where nearly all of what was seen could not be read; begins anew.

        Args:
            runner: Its verifier has read them.
            limit: Of the tokens of a response.
        """
        number, without, cut, either = self._all, self._without, self._cut, self._either
        example = self._example
        self._start()
        if example is None or either < NEARLY_ALL * number:
            return None
        text = " ".join(example.response.split())
        said = f"...{text[-SHOWN:]}" if len(text) > SHOWN else text
        told = bool(runner.renderer.suffix.strip())
        # How long an answer takes cannot be seen where nothing asks for one.
        where = "" if told else "where the problems ask for it themselves, "
        longer = f"{where}raise {self._names['max_new_tokens']}={limit}"
        asking = f"say in {self._names['suffix']} what it looks for"
        ways = [
            *([asking] if without or not told else []),
            *(["let a search find hints that say it"] if not told else []),
            *([longer] if 2 * cut > number else []),
            *(["choose another verifier"] if without else []),
        ]
        return (
            f"of this epoch's {number} responses {without / number:.0%} had no answer that the "
            f"verifier could find, and {cut / number:.0%} were cut off. It looks for "
            f"{looked_for(runner.verifier)}. {asked(runner.renderer)}. One of them ends {said!r}. "
            f"What helps: {', or '.join(ways)}"
        )

    def _start(self) -> None:
        self._all = self._without = self._cut = self._either = 0
        self._example: Rollout | None = None


def asked(renderer: ChatRenderer) -> str:
    """What the policy is told of the form of its answer, as a sentence without its full stop."""
    suffix = " ".join(renderer.suffix.split())
    return f"The prompt ends with {suffix!r}" if suffix else "Nothing in the prompt asks for that"


def looked_for(verifier: Verifier) -> str:
    """What a verifier looks for in a response: its pattern, or what its class says it does."""
    verifier = getattr(verifier, "verifier", verifier)
    pattern = getattr(verifier, "pattern", None)
    pattern = getattr(pattern, "pattern", pattern)
    # A function says more of itself than the verifier that calls it.
    function = getattr(verifier, "function", None)
    teller = type(verifier) if function is None else function
    name = getattr(teller, "__name__", type(verifier).__name__)
    if isinstance(pattern, str):
        return f"{pattern} ({name})"
    first = (inspect.getdoc(teller) or "").partition("\n")[0].rstrip(".")
    return f"what {name} says: {first}" if first else f"what {name} reads"
