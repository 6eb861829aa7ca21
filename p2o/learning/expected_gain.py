"""Rollouts go where they are expected to teach most (Knapsack RL, arXiv 2509.25849)."""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

from p2o.constraints import NotNegative, Size
from p2o.errors import UserError
from p2o.hints.problems import Tally


def value(rate: float, rollouts: int) -> float:
    """What a group is worth: the chance of a gradient, times what a gradient brings.

    ``(1 - p^n - (1 - p)^n) * p (1 - p)^2``: that not all of n rollouts are alike, and how much one
    step raises the success rate p. The paper derives both for GRPO and rewards of 0 and 1.

    Args:
        rate: p, from 0 to 1.
        rollouts: n.
    """
    return (1 - rate**rollouts - (1 - rate) ** rollouts) * rate * (1 - rate) ** 2


def allot(rates: Sequence[float], total: int, low: int, high: int) -> list[int]:
    """The numbers of rollouts with the highest sum of values.

    The value of a group grows less and less with its size, so that it is best to give one rollout
    after another to the prompt that gains most by it. Of prompts that gain the same, the one with
    the fewest has it, so that what teaches nothing is dealt out evenly.

    Args:
        rates: Success rate of each prompt.
        total: Rollouts to deal out, from `low` to `high` for each prompt.
        low: The fewest that a prompt has.
        high: The most.
    """
    sizes = [low] * len(rates)
    heap = [(-_gain(rate, low), low, index) for index, rate in enumerate(rates)]
    heapq.heapify(heap)
    for _ in range(total - low * len(rates)):
        while True:
            _, size, index = heapq.heappop(heap)
            if size < high:
                break
        sizes[index] = size + 1
        heapq.heappush(heap, (-_gain(rates[index], size + 1), size + 1, index))
    return sizes


def _gain(rate: float, size: int) -> float:
    """What one more rollout adds to the value, without the loss of digits of a difference."""
    step = rate**size * (1 - rate) + (1 - rate) ** size * rate
    return step * rate * (1 - rate) ** 2


@dataclass(frozen=True)
class ExpectedGain:
    """Each rollout of a batch goes to the prompt at which it is expected to teach most.

    A success rate is estimated by the prompt's last rollouts without hints, with `prior` successes
    and as many failures added: a prompt on which all failed is not given up, and gets more rollouts
    the likelier it is that another one succeeds. (The paper takes the rate as it is, and has a rule
    of its own for prompts without contrast; `prior` 0 leaves those at `low`.) A prompt that has had
    no group counts as one that is right half of the time, so that a first epoch has equal groups.

    Attributes:
        low: The fewest rollouts of a prompt.
        high: The most.
        prior: Successes, and failures, that are added to those of a group.

    Raises:
        UserError: The bounds contradict each other.
    """

    low: Size = 2
    high: Size = 128
    prior: NotNegative = 0.5

    def __post_init__(self) -> None:
        if not 2 <= self.low <= self.high:
            raise UserError(f"low={self.low} and high={self.high}: give 2 <= low <= high")

    def rate(self, tally: Tally | None) -> float:
        """The estimated success rate of a prompt."""
        solved, judged = tally or (0, 0)
        count = judged + 2 * self.prior
        return (solved + self.prior) / count if count else 0.5

    def sizes(self, tallies: Sequence[Tally | None], group_size: int) -> list[int]:
        """See `Allocation`."""
        if not self.low <= group_size <= self.high:
            raise UserError(
                f"low={self.low} and high={self.high}: group_size={group_size} is the mean of "
                "all groups and has to lie between"
            )
        rates = [self.rate(tally) for tally in tallies]
        return allot(rates, group_size * len(rates), self.low, self.high)
