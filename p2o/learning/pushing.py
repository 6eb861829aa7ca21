"""No update consists of pushing down alone: failures of groups whose successes pull nothing."""

from collections import defaultdict
from collections.abc import Collection, Mapping

import torch

from p2o.learning.rolled_out import Learned
from p2o.rollout.runner import Rollout
from p2o.sample import Sample

Place = tuple[int, int]
"""Of a rollout: its group, and its number there."""


def without_pull(
    places: Mapping[Place, tuple[Rollout, float]],
    learned: Mapping[Place, Learned],
    left_out: Collection[int] = (),
) -> set[Place]:
    """Failures of the groups that have successes of which no token is kept.

    Args:
        places: Rollouts that are a part of the loss, with their advantages.
        learned: What is made of them.
        left_out: Groups that have a success which is no part of it.
    """
    pull: defaultdict[int, list[bool]] = defaultdict(list)
    pull |= {group: [False] for group in left_out}
    for place, (_, advantage) in places.items():
        if advantage > 0:
            pull[place[0]].append(learned[place].kept != 0)
    return {
        place
        for place, (_, advantage) in places.items()
        if advantage < 0 and pull[place[0]] and not any(pull[place[0]])
    }


def silenced(
    sample: Sample,
    rollout: Rollout,
    templated: dict[tuple[bool, str], float],
    in_denominator: bool = True,
) -> Sample:
    """A sample whose tokens have no weight any more; corrects the sums over templated rollouts.

    Args:
        sample: Of the rollout.
        rollout: A failure.
        templated: The sums; changed.
        in_denominator: Whether tokens without weight count in the mean that the loss is.
    """
    weights = sample.streams.get("token_weights", torch.ones(sample.learned))
    if rollout.distilled:
        solved = bool(rollout.score.solved)
        pushed = (sample.streams["advantages"] * weights).clamp(max=0)
        templated[solved, "push"] += pushed.sum().item()
        templated[solved, "zero"] += int((weights != 0).sum())
    if not in_denominator:
        return sample.keep(torch.zeros(sample.learned, dtype=torch.bool))
    return sample.with_streams(token_weights=torch.zeros(sample.learned))
