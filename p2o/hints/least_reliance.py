"""Templates whose successes the bare policy could say, too, are preferred (HiLL, 2604.00698)."""

import math
from collections.abc import Sequence
from statistics import fmean

from p2o.errors import UserError
from p2o.hints.assignment import assign_templates
from p2o.hints.problems import Problems
from p2o_callbacks.pool import PromptPool, Template

MOST = 50.0
"""Reliance, in units of the temperature, above which templates are alike; keeps factors above 0."""


class LeastReliance:
    """Draws as `DiverseAssignment` does, with a preference for templates that are relied on least.

    The reliance of a template is the mean of log pi(y|x~) - log pi(y|x), a token, over its verified
    successes in training, in the last batch that had one. A success that the bare policy can hardly
    say transfers badly to it. As in HiLL (arXiv 2604.00698) a template counts with the factor
    ``exp(-max(0, reliance) / temperature)``: in the cover on the samples that it solves, and in a
    draw on its mean dev score.

    One that training has not measured yet has the mean reliance of those that it has, so that the
    factor tells nothing for or against it. The empty template is never relied on.

    Args:
        temperature: In nats a token; towards 0 the least relied on alone is drawn, and a large one
            is `DiverseAssignment`.

    Raises:
        UserError: The temperature is not above 0.
    """

    def __init__(self, temperature: float = 0.3) -> None:
        if not temperature > 0:
            raise UserError(f"temperature={temperature}: give more than 0")
        self.temperature = temperature
        self.problems = Problems([])

    def bind(self, problems: Problems) -> None:
        """See `KnowsProblems`."""
        self.problems = problems
        problems.keeps_reliance = True

    def assign(
        self, templates: Sequence[Template], hard_set: Sequence[str], group_size: int, seed: int
    ) -> PromptPool:
        """See `p2o.hints.assignment.Assigner`."""
        factors = self.factors(templates)
        cover, assignment = assign_templates(templates, hard_set, group_size, seed, factors)
        return PromptPool(tuple(templates), cover, assignment)

    def factors(self, templates: Sequence[Template]) -> list[float]:
        """What each template counts, from 0 to 1."""
        known = self.problems.reliance
        measured = [known[each.label] for each in templates if each.label in known]
        usual = fmean(measured) if measured else 0.0
        relied = [0.0 if each.empty else known.get(each.label, usual) for each in templates]
        return [math.exp(-min(MOST, max(0.0, each) / self.temperature)) for each in relied]
