"""The smallest search: templates from a list, tried on hard samples."""

from collections.abc import Callable, Mapping, Sequence
from random import Random

from p2o_callbacks.errors import ConfigurationError
from p2o_callbacks.pool import PromptPool, Template
from p2o_callbacks.protocols import (
    EvaluateTemplates,
    Evolution,
    EvolutionProgress,
    TemplateTrial,
)


class TemplateList:
    """Tries every template of a list on some of the hard samples, and keeps those that help.

    The bare prompt is tried as well. Templates are taken in the order of the samples they solve,
    as long as each solves one that neither the bare prompt nor those before it solve. A sample that
    was tried draws its templates among those that solve it; any other draws among all that were
    kept. Nothing is written anew: a reflection model, as in the paper, is what `p2o.evolution` has.

    Args:
        templates: What may be put in front of a prompt.
        dev_size: Hard samples that templates are tried on, drawn at random.

    Raises:
        ConfigurationError: There is no template, or `dev_size` is below 1.

    Example::

        search = TemplateList(["Think step by step.", "Check your result."])
        Trainer(callbacks=[HardSampleMiner(), PromptEvolution(search)])
    """

    def __init__(self, templates: Sequence[str], dev_size: int = 32) -> None:
        self.templates = [text for text in dict.fromkeys(templates) if text.strip()]
        if not self.templates:
            raise ConfigurationError("templates: give at least one that is not empty")
        if dev_size < 1:
            raise ConfigurationError(f"dev_size={dev_size}: give at least 1")
        self.dev_size = dev_size

    def evolve(
        self,
        hard_set: Sequence[str],
        evaluate: EvaluateTemplates,
        *,
        group_size: int,
        seed: int,
        report: Callable[[EvolutionProgress], None],
    ) -> Evolution:
        """See `p2o_callbacks.Evolver`."""
        if not hard_set:
            return Evolution(PromptPool())
        samples = sorted(set(hard_set))
        dev = sorted(Random(f"{seed}-dev").sample(samples, min(self.dev_size, len(samples))))
        budget = len(dev) * (1 + len(self.templates))
        tried: list[Template] = []
        for text in ("", *self.templates):
            tried.append(_scored(text, dev, evaluate([(sample, text) for sample in dev])))
            best = max(template.score or 0.0 for template in tried)
            report(EvolutionProgress(len(dev) * len(tried), budget, best, len(tried)))
        found = PromptPool(tuple(tried), _helpful(tried))
        assignment = self.deal(found, samples, group_size=group_size, seed=seed)
        return Evolution(PromptPool(found.templates, found.cover, assignment), budget, 1)

    def deal(
        self, pool: PromptPool, hard_set: Sequence[str], *, group_size: int, seed: int
    ) -> Mapping[str, tuple[int | None, ...]]:
        """See `p2o_callbacks.Evolver`."""
        dealt: dict[str, tuple[int | None, ...]] = {}
        for sample in hard_set if pool.cover else ():
            own = [index for index in pool.cover if sample in pool.templates[index].solved]
            # A generator of its own makes a sample's draws independent of which others are hard.
            dealt[sample] = tuple(
                Random(f"{seed}-{sample}").choices(own or pool.cover, k=group_size)
            )
        return dealt


def _scored(text: str, dev: Sequence[str], trials: Sequence[TemplateTrial]) -> Template:
    """A template as it fared; a trial without a verdict is no evidence, and no score."""
    tried = dict(zip(dev, trials, strict=True))
    scores = {sample: trial.score for sample, trial in tried.items() if trial.solved is not None}
    solved = frozenset(sample for sample, trial in tried.items() if trial.solved)
    parents = (0,) if text else ()
    score = sum(scores.values()) / len(scores) if scores else None
    return Template(text, parents, score, scores, solved)


def _helpful(tried: Sequence[Template]) -> tuple[int, ...]:
    """Indices of templates that solve what nothing before them solves; the first is bare."""
    chosen, solved = [], set(tried[0].solved)
    for index in sorted(range(1, len(tried)), key=lambda index: -len(tried[index].solved)):
        if not tried[index].solved <= solved:
            chosen.append(index)
            solved |= tried[index].solved
    return tuple(chosen)
