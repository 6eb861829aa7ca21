"""A hint for each hard problem, written from its gold answer, with a guard against telling it."""

import logging
from collections.abc import Sequence
from dataclasses import replace

from p2o.constraints import Count
from p2o.evolution.guarded import Report
from p2o.evolution.ladder import Ladder, Ladders
from p2o.evolution.leaks import Action
from p2o.evolution.trace import NOT_TRIED, Reflected
from p2o.hints.insertion import read_template
from p2o.hints.problems import Where
from p2o.prompt import Prompt
from p2o.reflection.base import Reflection, ReflectionRequest, last_exchanges
from p2o.running.seeds import derive_seed
from p2o_callbacks.candidates import Candidate, Exchange
from p2o_callbacks.hint import Hint
from p2o_callbacks.pool import PromptPool, Template
from p2o_callbacks.protocols import EvaluateTemplates, Evolution

logger = logging.getLogger(__name__)

TELLS = "it tells the answer"
"""Why a hint was thrown away."""


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
        self._written: list[tuple[str, Reflected]] = []

    def search(
        self,
        samples: Sequence[str],
        evaluate: EvaluateTemplates,
        *,
        group_size: int,
        seed: int,
        report: Report,
    ) -> Evolution:
        """See `GuardedSearch.search`; each hint that was asked for is a candidate."""
        found = super().search(samples, evaluate, group_size=group_size, seed=seed, report=report)
        tried = {template.text: template for template in found.pool.templates}
        candidates = [
            _candidate(sample, written, tried.get(written.text), found.pool)
            for sample, written in self._written
        ]
        return replace(found, candidates=tuple(candidates))

    def ladders(self, samples: Sequence[str], seed: int) -> Ladders:
        """See `Ladder.ladders`."""
        asked = [(sample, index) for sample in samples for index in range(self.number)]
        texts = self.reflection.reflect(
            [
                ReflectionRequest(
                    "",
                    [_record(self.problems.prompts[sample])],
                    derive_seed(seed, f"{sample}/{index}"),
                )
                for sample, index in asked
            ]
        )
        exchanges = last_exchanges(self.reflection, len(asked))
        self._written = [
            (sample, self._read(sample, text, exchange))
            for (sample, _), text, exchange in zip(asked, texts, exchanges, strict=True)
        ]
        ladders: dict[str, dict[Hint, None]] = {sample: {} for sample in samples}
        for sample, written in self._written:
            if written.text:
                ladders[sample][Hint(written.text)] = None
        told = sum(written.reason == TELLS for _, written in self._written)
        if told:
            logger.info(
                "%d of %d hints told the answer and were thrown away; %d of %d problems have none",
                told,
                len(asked),
                sum(not hints for hints in ladders.values()),
                len(ladders),
            )
        return {sample: list(hints) for sample, hints in ladders.items()}

    def _read(self, sample: str, text: str | None, exchange: Exchange | None) -> Reflected:
        """What came of one reflection."""
        hint = read_template(text)
        if hint is None:
            return Reflected("", "nothing was written that can be a hint", exchange)
        if self.watching.withholds(sample, Hint(hint)):
            return Reflected("", TELLS, exchange)
        return Reflected(hint, exchange=exchange)


def _candidate(
    sample: str, written: Reflected, tried: Template | None, pool: PromptPool
) -> Candidate:
    """What became of a hint.

    Args:
        sample: Id of the problem that it was written for.
        written: What came of the reflection.
        tried: How its text fared; None where it was not tried on any problem.
        pool: What the search has dealt out.
    """
    accepted = bool(written.text) and pool.text_for(sample, 0) == written.text
    scores = {} if tried is None else tried.dev_scores
    own = {sample: scores[sample]} if sample in scores else {}
    why_not = "it does not solve its problem" if own else NOT_TRIED
    return Candidate(
        written.text,
        iteration=1,
        minibatch=(sample,),
        dev_scores=own,
        accepted=accepted,
        reason="" if accepted else written.reason or why_not,
        exchange=written.exchange,
    )


def _record(prompt: Prompt) -> dict[str, object]:
    """What the writer is told, under the names that reflections know."""
    return {
        "Inputs": prompt.question,
        "Generated Outputs": "",
        "Feedback": f"The correct answer is {prompt.gold}.",
        "score": 0.0,
        "solved": False,
    }
