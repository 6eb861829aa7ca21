"""As many rollouts with a template as let about half of a group succeed."""

import random
from collections.abc import Sequence
from statistics import fmean

from p2o.errors import UserError
from p2o.hints.assignment import assign_templates
from p2o_callbacks.pool import PromptPool, Template


class Balanced:
    """Draws as `DiverseAssignment` does, and leaves rollouts bare where templates work too well.

    What a group teaches is in the spread of its rewards. Of a share p that succeeds their variance
    is p (1 - p), which is largest at a half, and nothing is learned where all succeed. The bare
    prompt of a hard sample hardly ever does. So of K rollouts as many have a template as succeed
    K times `share` in expectation, all of them where templates are not that good; the others are
    bare, and show on the way whether the policy needs the template still.

    How good a template is on a sample is its score there; on a sample that it was not tried on, its
    mean score.

    Args:
        share: Of a group that is to succeed, above 0 and at most 1.

    Raises:
        UserError: The share is none.
    """

    def __init__(self, share: float = 0.5) -> None:
        if not 0 < share <= 1:
            raise UserError(f"share={share}: give more than 0 and at most 1")
        self.share = share

    def assign(
        self, templates: Sequence[Template], hard_set: Sequence[str], group_size: int, seed: int
    ) -> PromptPool:
        """See `p2o.hints.assignment.Assigner`."""
        cover, drawn = assign_templates(templates, hard_set, group_size, seed)
        assignment = {
            sample: self._thinned(templates, sample, indices, seed)
            for sample, indices in drawn.items()
        }
        return PromptPool(tuple(templates), cover, assignment)

    def _thinned(
        self, templates: Sequence[Template], sample: str, drawn: Sequence[int | None], seed: int
    ) -> tuple[int | None, ...]:
        hinted = [place for place, index in enumerate(drawn) if index is not None]
        expected = [_score(templates[index], sample) for index in drawn if index is not None]
        rate = fmean(expected) if expected else 0.0
        enough = len(drawn) * self.share / rate if rate > 0 else len(drawn)
        kept = min(len(hinted), max(1, round(enough)))
        chosen = set(random.Random(f"{seed}-{sample}-hinted").sample(hinted, kept))
        return tuple(index if place in chosen else None for place, index in enumerate(drawn))


def _score(template: Template, sample: str) -> float:
    return template.dev_scores.get(sample, template.score or 0.0)
