"""A given list of hints: the control without any search, or a search among them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from p2o.constraints import Count, Whole
from p2o.errors import UserError
from p2o.evolution.guarded import Assignment, GuardedSearch, Report
from p2o.evolution.leaks import Action
from p2o.evolution.split import split_hard_set
from p2o.evolution.trials import as_candidates, tried, try_all
from p2o.hints.assignment import Assigner, draw_templates
from p2o.hints.filling import check_columns
from p2o.hints.problems import Problems, Where
from p2o.reflection.phrasebook import load_phrases
from p2o_callbacks.hint import Hint, more_than_text
from p2o_callbacks.pool import PromptPool
from p2o_callbacks.protocols import EvaluateTemplates, Evolution, EvolutionProgress

KEYS = ("text", "turns", "prefix", "columns", "learned")
"""What a hint is made of."""


class FixedHints(GuardedSearch):
    """Deals out hints of a given list, at random or by how they fare (arXiv 2602.03190).

    Args:
        assigner: Deals hints out that were tried; has no say where none was.
        hints: Texts, or mappings with ``text``, ``turns``, ``prefix``, ``columns`` and
            ``learned``; see `p2o_callbacks.Hint`.
        among: Problems that have them: those that are hard at the time, or all.
        dev_size: Samples to try each of them on; 0 tries none, spends nothing, and deals out at
            random.
        minimum: Problems below which nothing is done.
        leaks: What happens to a hint that gives a problem away, see `GuardedSearch`.

    Raises:
        UserError: There is no hint, or one is none.
    """

    def __init__(
        self,
        assigner: Assigner,
        hints: Sequence[Any],
        among: Where = "hard",
        dev_size: Whole = 0,
        minimum: Count = 1,
        leaks: Action = "reject",
    ) -> None:
        super().__init__(among, minimum, leaks)
        self.assigner, self.dev_size = assigner, dev_size
        self.hints = list(dict.fromkeys(_read(index, hint) for index, hint in enumerate(hints)))
        if not self.hints:
            raise UserError("hints=[]: give at least one, such as hints=['Think step by step.']")

    @property
    def embedded(self) -> bool:
        """Whether a hint is one of the phrases that come with p2o."""
        return not {hint.text for hint in self.hints}.isdisjoint(load_phrases(None))

    def bind(self, problems: Problems) -> None:
        """See `KnowsProblems`."""
        super().bind(problems)
        check_columns(self.hints, problems.prompts.values())

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
        if self.dev_size == 0:
            pool = PromptPool(
                tuple(tried(hint, {}) for hint in self.hints), tuple(range(len(self.hints)))
            )
            assignment = draw_templates(pool, samples, group_size, seed)
            candidates = as_candidates(pool.templates, pool)
            return Evolution(replace(pool, assignment=assignment), candidates=candidates)
        dev = split_hard_set(samples, self.dev_size, seed)[1] or samples
        templates = try_all(self.hints, dev, evaluate)
        calls = len(dev) * len(templates)
        best = max(template.score or 0.0 for template in templates)
        report(EvolutionProgress(calls, calls, best, len(templates)))
        pool = self.assigner.assign(templates, samples, group_size, seed)
        return Evolution(pool, calls, 1, as_candidates(templates, pool))

    def dealt(
        self, pool: PromptPool, samples: Sequence[str], *, group_size: int, seed: int
    ) -> Assignment:
        """See `GuardedSearch.dealt`."""
        if self.dev_size == 0:
            return draw_templates(pool, samples, group_size, seed)
        return self.assigner.assign(pool.templates, samples, group_size, seed).assignment


def _read(index: int, given: Any) -> Hint:
    if isinstance(given, str):
        hint = Hint(given.strip())
    elif isinstance(given, Mapping) and set(given) <= set(KEYS):
        try:
            hint = Hint(str(given.get("text", "")).strip(), **more_than_text(given))
        except (TypeError, ValueError) as error:
            raise UserError(
                f"hints.{index}.turns: give a list of [question, answer] pairs"
            ) from error
    else:
        raise UserError(f"hints.{index}={given!r:.60}: give a text, or {', '.join(KEYS)}")
    if hint.empty:
        raise UserError(f"hints.{index}: it is empty; leave it out")
    return hint
