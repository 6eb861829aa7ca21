"""How much of a reference solution is shown: rules from one search to the next."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from p2o.constraints import Count, Share, SomeShare
from p2o.hints.problems import Problems

MEMORY = "solution_share"
"""How names begin under which rules keep numbers until the next search."""


@runtime_checkable
class ShareRule(Protocol):
    """Says what share of its solution each problem is shown."""

    def shares(self, samples: Sequence[str], problems: Problems) -> dict[str, float]:
        """Shares from 0 to 1, by sample id.

        Args:
            samples: Sample ids.
            problems: What is known of them; a rule may keep numbers in its `memory`.
        """
        ...


class ConstantShare:
    """The same share always (QuestA, arXiv 2507.13266, which takes a half and then a quarter).

    Args:
        share: Of the solution's words.
    """

    def __init__(self, share: SomeShare = 0.5) -> None:
        self.share = share

    def shares(self, samples: Sequence[str], problems: Problems) -> dict[str, float]:
        """See `ShareRule`."""
        return dict.fromkeys(samples, self.share)


class AnnealedShare:
    """Less with every search, in equal steps, so that the last ones are near the bare problem.

    Args:
        start: Share in the first search.
        end: Share in the last search and after it; 0 shows nothing.
        searches: How many searches it takes from one to the other.
    """

    def __init__(self, start: Share = 0.75, end: Share = 0.0, searches: Count = 4) -> None:
        self.start, self.end, self.searches = start, end, searches

    def shares(self, samples: Sequence[str], problems: Problems) -> dict[str, float]:
        """See `ShareRule`."""
        name = f"{MEMORY}/searches"
        done = problems.memory.get(name, 0)
        problems.memory[name] = done + 1
        way = min(1.0, done / max(1, self.searches - 1))
        share = round(self.start + (self.end - self.start) * way, 4)
        return dict.fromkeys(samples, share)


class AdaptiveShare:
    """Each problem's share follows its success rate (after ADHint, arXiv 2512.13095).

    A problem starts with `start`. When its rollouts since the last search succeeded less often than
    `target`, it is shown a step more, when more often a step less. Where nothing is shown any more,
    those without a hint tell.

    Args:
        start: First share of a problem.
        step: By which a share rises or falls.
        target: Success rate to be at.
        most: Largest share.
    """

    def __init__(
        self,
        start: Share = 0.5,
        step: SomeShare = 0.25,
        target: Share = 0.5,
        most: SomeShare = 0.75,
    ) -> None:
        self.start, self.step, self.target, self.most = start, step, target, most

    def shares(self, samples: Sequence[str], problems: Problems) -> dict[str, float]:
        """See `ShareRule`."""
        shares = {}
        for sample in samples:
            name = f"{MEMORY}/{sample}"
            share = problems.memory.get(name)
            # Taken away, so that a rate moves the share once.
            hinted = problems.hinted_rates.pop(sample, None)
            bare = problems.bare_rates.pop(sample, None)
            rate = hinted if share else bare
            if share is None:
                share = self.start
            elif rate is not None and rate != self.target:
                share += self.step if rate < self.target else -self.step
            problems.memory[name] = shares[sample] = round(min(self.most, max(0.0, share)), 4)
        return shares
