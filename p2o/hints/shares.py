"""Who gets which template where rollouts of training are also the trials of templates."""

import random
from collections.abc import Sequence

from p2o.hints.evidence import Evidence
from p2o_callbacks.pool import Template

PRIOR = 1, 4
"""Successes and rollouts that each template has to begin with: one that is new is worth a try."""


def by_success(
    templates: Sequence[Template],
    samples: Sequence[str],
    evidence: Evidence,
    group_size: int,
    seed: int,
) -> dict[str, tuple[int | None, ...]]:
    """Deal out templates by what training has shown of them.

    Half of a sample's rollouts, rounded up, have templates that have solved it, the others those
    that have not: of these first such as it has not been tried with. Where there are none of one
    kind, all have the other; but where all have solved it the second half is bare, since rollouts
    that are all right teach nothing. Draws are with replacement, by `success_rate`.

    Args:
        templates: All that are in use.
        samples: Ids of the hard samples.
        evidence: What training has shown.
        group_size: Rollouts of each sample.
        seed: Of the draws.

    Returns:
        By sample, the place of a template for each rollout; None for a bare one.
    """
    if not templates:
        return {}
    rates = [success_rate(evidence, template.label) for template in templates]
    assignment: dict[str, tuple[int | None, ...]] = {}
    for sample in samples:
        solved_by, failed_with = evidence.solved_by(sample), evidence.failed_with(sample)
        solving = [i for i, each in enumerate(templates) if each.label in solved_by]
        others = [i for i in range(len(templates)) if i not in solving]
        others = [i for i in others if templates[i].label not in failed_with] or others
        # A generator of its own makes a sample's draws independent of which others are hard.
        generator = random.Random(f"{seed}-{sample}")
        exploiting = (group_size + 1) // 2 if solving else 0
        drawn: list[int | None] = []
        for places, count in ((solving, exploiting), (others, group_size - exploiting)):
            if places:
                drawn += generator.choices(places, [rates[i] for i in places], k=count)
            else:
                drawn += [None] * count
        assignment[sample] = tuple(drawn)
    return assignment


def success_rate(evidence: Evidence, hint: str) -> float:
    """Share of a hint's rollouts that were right, of whatever problem, with `PRIOR` added."""
    right, rollouts = evidence.tally(hint)
    return (right + PRIOR[0]) / (rollouts + PRIOR[1])
