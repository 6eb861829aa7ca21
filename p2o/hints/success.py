"""Who gets which template where rollouts of training are also the trials of templates."""

import random
from collections.abc import Sequence

from p2o.hints.evidence import Evidence
from p2o_callbacks.pool import Template

PRIOR = 1, 4
"""Right rollouts, and all, that each template has to begin with: a new one is worth a try."""


def by_success(
    templates: Sequence[Template],
    samples: Sequence[str],
    evidence: Evidence,
    group_size: int,
    seed: int,
) -> dict[str, tuple[int | None, ...]]:
    """Deal out templates by what training has shown of them.

    A sample that some templates have solved has these in half of its rollouts, rounded up. The
    other half has templates that have not been tried on it, or else those that have failed. Where
    there is none of either kind it is bare, since rollouts that are all right teach nothing. A
    sample that no template has solved has the others in all of its rollouts. Draws are with
    replacement and weighted by `success_rate`.

    Args:
        templates: All that are in use.
        samples: Ids of the hard samples.
        evidence: What training has shown.
        group_size: Rollouts of each sample to deal hints out to.
        seed: Of the draws.

    Returns:
        By sample, the place of a template for each rollout; None for a bare one.
    """
    if not templates:
        return {}
    tallies = evidence.tallies()
    rates = [success_rate(tallies.get(template.label, (0, 0))) for template in templates]
    assignment: dict[str, tuple[int | None, ...]] = {}
    for sample in samples:
        solved_by, failed_with = evidence.solved_by(sample), evidence.failed_with(sample)
        solving = [i for i, each in enumerate(templates) if each.label in solved_by]
        failing = [i for i, each in enumerate(templates) if each.label in failed_with]
        untried = [i for i in range(len(templates)) if i not in solving and i not in failing]
        # A generator of its own makes a sample's draws independent of which others are hard.
        generator = random.Random(f"{seed}-{sample}")
        half = (group_size + 1) // 2 if solving else 0
        drawn: list[int | None] = []
        for places, count in ((solving, half), (untried or failing, group_size - half)):
            if places:
                drawn += generator.choices(places, [rates[i] for i in places], k=count)
            else:
                drawn += [None] * count
        assignment[sample] = tuple(drawn)
    return assignment


def success_rate(tally: tuple[int, int]) -> float:
    """Share of a hint's rollouts that were right, with `PRIOR` added.

    Args:
        tally: Rollouts that were right, and all.
    """
    right, rollouts = tally
    return (right + PRIOR[0]) / (rollouts + PRIOR[1])
