"""What a templated rollout's reward is measured against."""

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Protocol

import torch
from torch import Tensor

from p2o.learning.metrics import mean
from p2o.objectives.advantages import live_groups
from p2o.rollout.runner import Rollout

Advantages = Callable[..., Tensor]
"""Rewards `[G, K]` to advantages `[G, K]`, for groups that are rolled out together. A reward that
is not a number has no verdict behind it: it counts for nothing, and its advantage is 0. One with a
parameter `solved` is given the verdicts as well."""


def asks_for_verdicts(estimate: Advantages) -> bool:
    """Whether an estimate wants to know what is solved besides the rewards."""
    try:
        return "solved" in inspect.signature(estimate).parameters
    # Of what is written in C nothing is known.
    except ValueError:
        return False


def is_shaped_by_entropy(estimate: Advantages) -> bool:
    """Whether an estimate asks that entropies shape what it gives to groups of equal rewards.

    It says so by an attribute `shaped_by_entropy`, and so do all that are made of it by `partial`.
    """
    while isinstance(estimate, partial):
        estimate = estimate.func
    return bool(getattr(estimate, "shaped_by_entropy", False))


class Baseline(Protocol):
    """Turns rewards into advantages, templated groups in a way of their own."""

    def observe(self, groups: Sequence[Sequence[Rollout]]) -> None:
        """Take note of every group that is sampled, also of those that are not trained on."""
        ...

    def advantages(
        self, groups: Sequence[Sequence[Rollout]], rewards: Tensor, estimate: Advantages
    ) -> Tensor:
        """Advantages `[G, K]`.

        Args:
            groups: G groups of K rollouts, all of which have been observed.
            rewards: `[G, K]`, shaped, not a number where there is no verdict; the verifier's own
                stand in the rollouts.
            estimate: What bare groups get.
        """
        ...

    def state_dict(self) -> dict[str, float]:
        """What outlives a checkpoint."""
        ...

    def load_state_dict(self, state_dict: Mapping[str, float]) -> None:
        """Take over what `state_dict` wrote."""
        ...


class GroupMean:
    """Templated groups are groups like any other (the paper).

    What an estimate gives to groups of equal rewards, templated ones do not get: there it is for
    the distillation strategy to say what is learned.
    """

    def observe(self, groups: Sequence[Sequence[Rollout]]) -> None:
        """Nothing to note."""

    def advantages(
        self, groups: Sequence[Sequence[Rollout]], rewards: Tensor, estimate: Advantages
    ) -> Tensor:
        """See `Baseline`."""
        templated = [any(rollout.templated for rollout in group) for group in groups]
        silent = torch.tensor(templated) & ~live_groups(rewards)
        return estimate(rewards).masked_fill(silent[:, None], 0.0)

    def state_dict(self) -> dict[str, float]:
        """Nothing."""
        return {}

    def load_state_dict(self, state_dict: Mapping[str, float]) -> None:
        """Nothing to take."""


class BareSuccessRate:
    """Templated rollouts are measured against the success of the bare prompt.

    The gradient is the bare policy's, so its own success rate is its baseline: the mean reward of
    the prompt's bare rollouts in the last group that had some, 0 if none had. What all rollouts of
    a templated group share then carries gradient too, while the group mean would cancel it. The
    difference is not divided by a standard deviation. Not in the paper. What is taken from rewards
    for length or divergence is measured against its mean in the group: the rate knows nothing of
    it.

    A bare rollout beside templated ones is measured against the other bare ones of its group, 0 if
    there are none: its own reward in its baseline would cancel what it teaches.
    """

    def __init__(self) -> None:
        self._rates: dict[str, float] = {}

    def observe(self, groups: Sequence[Sequence[Rollout]]) -> None:
        """Keep the success of bare rollouts, beside templated ones too."""
        for group in groups:
            bare = [rollout for rollout in group if not rollout.templated]
            known = [rollout.score.reward for rollout in bare if not rollout.score.failed]
            if known:
                self._rates[group[0].prompt.id] = mean(known)

    def advantages(
        self, groups: Sequence[Sequence[Rollout]], rewards: Tensor, estimate: Advantages
    ) -> Tensor:
        """See `Baseline`."""
        advantages = estimate(rewards).clone()
        for index, group in enumerate(groups):
            if any(rollout.templated for rollout in group):
                advantages[index] = 0.0
                advantages[index, : len(group)] = self._of_group(
                    group, rewards[index, : len(group)]
                )
        return advantages

    def _of_group(self, group: Sequence[Rollout], rewards: Tensor) -> Tensor:
        """Advantages `[K]` of a templated group, of its shaped rewards `[K]`."""
        own, rates = (
            torch.tensor(values, dtype=rewards.dtype)
            for values in (
                [math.nan if r.score.failed else float(r.score.reward) for r in group],
                self._rates_of(group),
            )
        )
        shaping = rewards - own
        # Rates are of the verifier's own rewards, so what is shaped is compared in the group alone.
        return (own - rates + (shaping - shaping.nanmean())).nan_to_num(0.0)

    def _rates_of(self, group: Sequence[Rollout]) -> list[float]:
        """What each rollout of a templated group is measured against."""
        bare = {
            place: rollout.score.reward
            for place, rollout in enumerate(group)
            if not rollout.templated and not rollout.score.failed
        }
        rates = []
        for place, rollout in enumerate(group):
            others = [reward for other, reward in bare.items() if other != place]
            known = self._rates.get(rollout.prompt.id, 0.0)
            rates.append(known if rollout.templated else mean(others) if others else 0.0)
        return rates

    def state_dict(self) -> dict[str, float]:
        """The rates."""
        return dict(self._rates)

    def load_state_dict(self, state_dict: Mapping[str, float]) -> None:
        """Take over what `state_dict` wrote."""
        self._rates = dict(state_dict)
