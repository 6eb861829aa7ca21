"""Who gets which template (P²O, Algorithm 2, second half)."""

import random
from collections.abc import Sequence
from math import fsum
from typing import Protocol

from p2o.hints.cover import greedy_cover
from p2o_callbacks.pool import PromptPool, Template

SMALLEST_WEIGHT = 1e-6
"""Weight of a template whose mean dev score is 0."""


class Assigner(Protocol):
    """Chooses templates and deals them out."""

    def assign(
        self, templates: Sequence[Template], hard_set: Sequence[str], group_size: int, seed: int
    ) -> PromptPool:
        """Make the pool of an epoch.

        The same arguments give the same pool, in whatever order `hard_set` and the dev scores come.

        Args:
            templates: All templates found, with their dev scores and the dev samples they solve.
            hard_set: Ids of the samples to roll out with a template.
            group_size: Rollouts of each sample to deal hints out to, K of the paper.
            seed: Of the draws.

        Returns:
            The pool; its cover and assignment are empty when no template but the empty one solves a
            dev sample (the paper's reference implementation raises where none does).
        """
        ...


class DiverseAssignment:
    """K draws for each sample: templates differ within a group, which gives it contrast."""

    def assign(
        self, templates: Sequence[Template], hard_set: Sequence[str], group_size: int, seed: int
    ) -> PromptPool:
        """See `Assigner`."""
        cover, assignment = assign_templates(templates, hard_set, group_size, seed)
        return PromptPool(tuple(templates), cover, assignment)


class SameTemplate:
    """One draw for each sample, used for all of its rollouts (an ablation of the paper)."""

    def assign(
        self, templates: Sequence[Template], hard_set: Sequence[str], group_size: int, seed: int
    ) -> PromptPool:
        """See `Assigner`."""
        cover, assignment = assign_templates(templates, hard_set, 1, seed)
        repeated = {key: drawn * group_size for key, drawn in assignment.items()}
        return PromptPool(tuple(templates), cover, repeated)


def assign_templates(
    templates: Sequence[Template],
    hard_set: Sequence[str],
    group_size: int,
    seed: int,
    preferences: Sequence[float] | None = None,
) -> tuple[tuple[int, ...], dict[str, tuple[int | None, ...]]]:
    """Cover the dev samples and draw templates for the hard ones.

    A dev sample that a chosen template solves draws among those that solve it; every other hard
    sample draws from the whole cover. Draws are with replacement, by mean dev score.

    The empty template is a candidate like any other, as in the paper: what the bare prompt solves
    and no chosen template does is rolled out bare. Its draws are None.

    Args:
        templates: All templates found, with their dev scores and the dev samples they solve.
        hard_set: Sample ids.
        group_size: Draws for each sample.
        seed: Of the draws.
        preferences: Factors above 0, one for each template, on samples that it covers and on its
            weight in a draw; None for 1.

    Returns:
        Indices of the chosen templates, and indices drawn for each sample; both empty when all
        draws would be bare.
    """
    cover = greedy_cover([template.solved for template in templates], preferences)
    drawn_as = [None if template.empty else index for index, template in enumerate(templates)]
    if all(drawn_as[index] is None for index in cover):
        return (), {}
    factors = [1.0] * len(templates) if preferences is None else preferences
    weights = [_weight(each) * factor for each, factor in zip(templates, factors, strict=True)]
    assignment: dict[str, tuple[int | None, ...]] = {}
    for sample_id in sorted(set(hard_set)):
        candidates = [index for index in cover if sample_id in templates[index].solved] or cover
        # A generator of its own makes a sample's draws independent of which others are hard.
        generator = random.Random(f"{seed}-{sample_id}")
        drawn = generator.choices(candidates, [weights[i] for i in candidates], k=group_size)
        assignment[sample_id] = tuple(drawn_as[index] for index in drawn)
    return tuple(cover), assignment


def draw_templates(
    pool: PromptPool, samples: Sequence[str], group_size: int, seed: int
) -> dict[str, tuple[int | None, ...]]:
    """Draw templates of the cover with equal chances, with replacement.

    Args:
        pool: Its cover is drawn from.
        samples: Sample ids.
        group_size: Draws for each sample.
        seed: Of the draws.
    """
    # A generator of its own makes a sample's draws independent of which others are hard.
    return {
        sample: tuple(random.Random(f"{seed}-{sample}").choices(pool.cover, k=group_size))
        for sample in samples
    }


def keep_or_draw(
    pool: PromptPool, samples: Sequence[str], group_size: int, seed: int
) -> dict[str, tuple[int | None, ...]]:
    """Samples keep the template that is their own; others draw one of the cover.

    All rollouts of a sample have the same; where the cover is empty, others stay bare.

    Args:
        pool: What a search has dealt out, the same template to all rollouts of a sample.
        samples: Sample ids of today.
        group_size: Rollouts of each sample.
        seed: Of the draws.
    """
    choices = pool.cover or (None,)
    dealt: dict[str, tuple[int | None, ...]] = {}
    for sample in samples:
        kept = pool.assignment.get(sample)
        one = kept[0] if kept else random.Random(f"{seed}-{sample}").choice(choices)
        dealt[sample] = (one,) * group_size
    return dealt


def _weight(template: Template) -> float:
    scores = template.dev_scores.values()
    return max(fsum(scores) / len(scores), SMALLEST_WEIGHT) if scores else SMALLEST_WEIGHT
