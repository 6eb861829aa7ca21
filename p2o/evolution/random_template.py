"""Templates of random phrases without any selection: the control that a search has to beat."""

import random
from collections.abc import Sequence
from dataclasses import replace

from p2o.constraints import Count, Many, Text
from p2o.errors import UserError
from p2o.evolution.guarded import Assignment, GuardedSearch, Report
from p2o.evolution.leaks import Action
from p2o.hints.assignment import draw_templates
from p2o.reflection.phrasebook import Phrasebook
from p2o_callbacks.candidates import Candidate
from p2o_callbacks.pool import PromptPool, Template
from p2o_callbacks.protocols import EvaluateTemplates, Evolution


class RandomTemplates(GuardedSearch):
    """Draws templates from a list of phrases and deals them out at random.

    It tries none of them, and so spends nothing.

    Args:
        path: Text file with one phrase a line, in place of `phrases`.
        number: Templates drawn for an epoch.
        max_phrases: Phrases in a template, 1 to so many.
        minimum: Hard samples below which nothing is done.
        leaks: What happens to phrases that give a problem away, see `GuardedSearch`.
        phrases: The phrases; without any, and without a file, those that come with p2o.

    Attributes:
        embedded: Whether those that come with p2o are among the phrases.

    Raises:
        UserError: The file cannot be read or is empty, or a number is below 1.
    """

    def __init__(
        self,
        path: str | None = None,
        number: Many = 8,
        max_phrases: int = 4,
        minimum: Count = 1,
        leaks: Action = "reject",
        phrases: Sequence[Text] = (),
    ) -> None:
        super().__init__("hard", minimum, leaks)
        if number < 1:
            raise UserError(f"number={number}: give at least 1")
        book = Phrasebook(path, max_phrases, phrases if path is None else ())
        self.phrases, self.embedded = book.phrases, book.embedded
        self.number, self.max_phrases = number, max_phrases

    def search(
        self,
        samples: Sequence[str],
        evaluate: EvaluateTemplates,
        *,
        group_size: int,
        seed: int,
        report: Report,
    ) -> Evolution:
        """See `GuardedSearch.search`."""
        generator = random.Random(f"{seed}-templates")
        longest = min(self.max_phrases, len(self.phrases))
        drawn = [
            " ".join(generator.sample(self.phrases, generator.randint(1, longest)))
            for _ in range(self.number)
        ]
        templates = tuple(Template(text, score=None) for text in dict.fromkeys(drawn))
        pool = PromptPool(templates, tuple(range(len(templates))))
        assignment = self.dealt(pool, samples, group_size=group_size, seed=seed)
        drawn_ones = tuple(Candidate(template.text, accepted=True) for template in templates)
        return Evolution(replace(pool, assignment=assignment), candidates=drawn_ones)

    def dealt(
        self, pool: PromptPool, samples: Sequence[str], *, group_size: int, seed: int
    ) -> Assignment:
        """See `GuardedSearch.dealt`."""
        return draw_templates(pool, samples, group_size, seed)
