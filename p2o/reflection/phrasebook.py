"""Reflection without a language model: templates are made of phrases from a list."""

import random
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from p2o.constraints import Text
from p2o.errors import UserError
from p2o.reflection.base import ReflectionRequest
from p2o.rollout.engine import RolloutEngine
from p2o.rollout.rendering import ChatRenderer

UNSOLVED = {"add": 0.45, "swap": 0.45, "drop": 0.1}
"""How likely each kind of change is for a parent that solved nothing."""
SOLVED = {"add": 0.25, "swap": 0.6, "drop": 0.15}
"""The same for a parent that solved some."""


class Phrasebook:
    """Adds, swaps or drops one phrase of the parent. It knows of no phrase whether it helps.

    Args:
        path: Text file with one phrase a line; None for the one that comes with p2o.
        max_phrases: Phrases in a template.
        phrases: The phrases themselves, in place of a file.

    Attributes:
        embedded: Whether those that come with p2o are among the phrases, though no file was named.

    Raises:
        UserError: The file cannot be read or is empty, or `max_phrases` is below 1.
    """

    def __init__(
        self, path: str | None = None, max_phrases: int = 4, phrases: Sequence[Text] = ()
    ) -> None:
        if max_phrases < 1:
            raise UserError(f"max_phrases={max_phrases}: give at least 1")
        if phrases and path is not None:
            raise UserError(f"path={path}: phrases are given too; give one of them")
        self.phrases = list(phrases) or load_phrases(path)
        self.max_phrases = max_phrases
        # Whoever names the file wants them.
        self.embedded = path is None and set(load_phrases(None)) <= set(self.phrases)

    def bind(self, engine: RolloutEngine, renderer: ChatRenderer) -> None:
        """Nothing to take."""

    def reflect(self, requests: Sequence[ReflectionRequest]) -> list[str | None]:
        """Change one phrase of each parent; see `Reflection.reflect`."""
        return [self._mutate(request) for request in requests]

    def _mutate(self, request: ReflectionRequest) -> str:
        generator = random.Random(f"{request.seed}-phrasebook")
        solved = any(record["solved"] for record in request.records)
        weights = SOLVED if solved else UNSOLVED
        children = {kind: made for kind, made in self._children(request.template).items() if made}
        if not children:
            return ""
        kind = generator.choices(list(children), [weights[kind] for kind in children])[0]
        return " ".join(generator.choice(children[kind]))

    def _children(self, template: str) -> dict[str, list[list[str]]]:
        """All templates one change away, as phrases, by kind of change."""
        parts = self._split(template)[: self.max_phrases]
        # Asked of the whole text, so that no phrase is repeated even inside unknown text.
        unused = [phrase for phrase in self.phrases if phrase not in template]
        places = range(len(parts))
        return {
            "add": [[*parts, new] for new in unused if len(parts) < self.max_phrases],
            "swap": [[*parts[:i], new, *parts[i + 1 :]] for i in places for new in unused],
            # The empty template needs no search: it is where the search begins.
            "drop": [[*parts[:i], *parts[i + 1 :]] for i in places if len(parts) > 1],
        }

    def _split(self, template: str) -> list[str]:
        """The phrases of a template; what is before the last unknown text is one phrase with it."""
        rest, parts = template.strip(), []
        while phrase := self._last_phrase(rest):
            parts.insert(0, phrase)
            rest = rest.removesuffix(phrase).rstrip()
        return list(dict.fromkeys([rest, *parts] if rest else parts))

    def _last_phrase(self, text: str) -> str | None:
        fitting = (p for p in self.phrases if text == p or text.endswith(f" {p}"))
        return max(fitting, key=len, default=None)


def load_phrases(path: str | None) -> list[str]:
    """The phrases of a text file with one a line, each once; None for the file in p2o.

    Args:
        path: Of the file.

    Raises:
        UserError: It cannot be read or is empty.
    """
    source = files("p2o.world") / "phrasebook.txt" if path is None else Path(path)
    advice = "give a text file with one phrase a line, or null for the one that comes with p2o"
    try:
        lines = source.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"path={path}: cannot read it ({error}); {advice}") from error
    phrases = list(dict.fromkeys(" ".join(line.split()) for line in lines if line.strip()))
    if not phrases:
        raise UserError(f"path={path}: it has no phrases; {advice}")
    return phrases
