"""A hint for each hard problem, written from its gold answer, with a guard against telling it."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from p2o.constraints import Count
from p2o.evolution.ladder import Ladder, Ladders
from p2o.evolution.leak import tells
from p2o.evolution.leaks import Action
from p2o.hints.insertion import read_template
from p2o.hints.problems import Where
from p2o.prompt import Prompt
from p2o.reflection.base import Reflection, ReflectionRequest
from p2o.running.seeds import derive_seed
from p2o_callbacks.hint import Hint
from p2o_callbacks.protocols import EvaluateTemplates, Evolution

logger = logging.getLogger(__name__)


class SelfHints(Ladder):
    """Hints that are written for one problem each (NuRL, 2509.25666; SAGE, 2602.03143).

    Whoever reflects is told the problem and its gold answer. What holds the gold answer as a token
    is no hint: with ``leaks=reject`` it is thrown away, and a problem without any other stays bare.
    Hints are tried on their problem, in turn; it has the first that works, or its last.

    Args:
        reflection: Writes hints; ``reflection=hint_writer`` is the policy itself.
        number: Hints written for a problem.
        among: Problems that have hints: those that are hard at the time, or all.
        minimum: Problems below which nothing is done.
        leaks: What happens to a hint that tells the answer, see `GuardedSearch`.
    """

    own_hints = True

    def __init__(
        self,
        reflection: Reflection,
        number: Count = 2,
        among: Where = "hard",
        minimum: Count = 1,
        leaks: Action = "reject",
    ) -> None:
        super().__init__(among, minimum, leaks)
        self.reflection, self.number = reflection, number
        self._told = 0

    def evolve(
        self, hard_set: Sequence[str], evaluate: EvaluateTemplates, **named: Any
    ) -> Evolution:
        """See `GuardedSearch.evolve`; hints that told the answer are leaks, too."""
        self._told = 0
        found = super().evolve(hard_set, evaluate, **named)
        return found if found.leaks is None else replace(found, leaks=found.leaks + self._told)

    def ladders(self, samples: Sequence[str], seed: int) -> Ladders:
        """See `Ladder.ladders`."""
        asked = [(sample, index) for sample in samples for index in range(self.number)]
        written = self.reflection.reflect(
            [
                ReflectionRequest(
                    "",
                    [_record(self.problems.prompts[sample])],
                    derive_seed(seed, f"{sample}/{index}"),
                )
                for sample, index in asked
            ]
        )
        ladders: dict[str, dict[Hint, None]] = {sample: {} for sample in samples}
        strict = self.leaks == "reject"
        for (sample, _), text in zip(asked, written, strict=True):
            hint = read_template(text)
            if strict and hint is not None and tells(hint, self.problems.prompts[sample].golds):
                self._told += 1
            elif hint is not None:
                ladders[sample][Hint(hint)] = None
        if self._told:
            logger.info(
                "%d of %d hints told the answer and were thrown away; %d of %d problems have none",
                self._told,
                len(asked),
                sum(not hints for hints in ladders.values()),
                len(ladders),
            )
        return {sample: list(hints) for sample, hints in ladders.items()}


def _record(prompt: Prompt) -> dict[str, object]:
    """What the writer is told, under the names that reflections know."""
    return {
        "Inputs": prompt.question,
        "Generated Outputs": "",
        "Feedback": f"The correct answer is {prompt.gold}.",
        "score": 0.0,
        "solved": False,
    }
