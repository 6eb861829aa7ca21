"""Several sources of prompts in one run."""

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from p2o.data.duplicates import asked, warn_of_contradictions
from p2o.data.sources import PromptSource, Split
from p2o.errors import UserError, located
from p2o.prompt import Prompt

logger = logging.getLogger(__name__)


class Mixture:
    """The prompts of several sources; each knows the name of its own, `Prompt.source`.

    A prompt that several sources have counts once, for the first of them by name. What one source
    holds out, no other trains on. The order in which sources are written changes nothing.

    Args:
        sources: By name; null leaves one out.

    Raises:
        UserError: There is none, or a name is no word.
    """

    def __init__(self, sources: Mapping[str, PromptSource | None]) -> None:
        self.sources = {name: source for name, source in sources.items() if source is not None}
        if not self.sources:
            raise UserError("sources: give at least one, {NAME: {_target_: ...}}")
        for name, source in self.sources.items():
            # It becomes a part of metrics' names.
            if not re.fullmatch(r"\w+", name):
                raise UserError(f"sources: {name!r} is no name; give letters, digits and _")
            if not isinstance(source, PromptSource):
                raise UserError(f"sources.{name}: it makes no prompts; name a class with load")

    def check_there(self) -> None:
        """Refuse files that are not there, without reading any.

        Raises:
            UserError: Names the source and the path.
        """
        for name, source in self.sources.items():
            check = getattr(source, "check_there", None)
            if check is not None:
                with located(f"sources.{name}"):
                    check()

    def load(self, seed: int) -> Split:
        """See `PromptSource.load`."""
        splits: dict[str, Split] = {}
        for name in sorted(self.sources):
            with located(f"sources.{name}"):
                splits[name] = self.sources[name].load(seed)
        held_out = _once({name: split.held_out for name, split in splits.items()})
        known = set(map(asked, held_out))
        train = {
            name: [prompt for prompt in split.train if asked(prompt) not in known]
            for name, split in splits.items()
        }
        for name, split in splits.items():
            if len(train[name]) < len(split.train):
                logger.warning(
                    "source %s: %d training prompts are held out in another source and left out",
                    name,
                    len(split.train) - len(train[name]),
                )
        unique = _once(train)
        warn_of_contradictions("the sources", unique)
        return Split(unique, held_out)


def _once(prompts: Mapping[str, Sequence[Prompt]]) -> list[Prompt]:
    """The prompts of all sources, each with the name of the first that has it."""
    found: dict[str, Prompt] = {}
    for name, own in prompts.items():
        known = len(found)
        for prompt in own:
            found.setdefault(prompt.id, replace(prompt, source=name))
        twice = len(own) - (len(found) - known)
        if twice:
            logger.warning(
                "source %s: %d prompts are in a source before it and count there", name, twice
            )
    return list(found.values())
