"""From a concept to a plan to a worked step: the least of a data set's own columns that works."""

from collections.abc import Sequence

from p2o.constraints import Count
from p2o.errors import UserError
from p2o.evolution.ladder import Ladder, Ladders
from p2o.hints.filling import check_columns
from p2o.hints.problems import Problems, Where
from p2o_callbacks.hint import Hint


class Tiered(Ladder):
    """Hints in tiers; each problem has the first tier that solves it (Scaf-GRPO, 2510.19807).

    Columns are shown on purpose; a guard against leaks looks at the words around them alone.

    Args:
        tiers: Texts, the least help first, with columns of the problem's own in braces:
            ``{plan}``, or ``{solution:25%}`` for a first part.
        among: Problems that have hints: those that are hard at the time, or all.
        minimum: Problems below which nothing is done.

    Raises:
        UserError: There is no tier, or one is empty.
    """

    def __init__(
        self,
        tiers: Sequence[str],
        among: Where = "hard",
        minimum: Count = 1,
    ) -> None:
        super().__init__(among, minimum)
        self.tiers = [Hint(text, columns=True) for text in tiers]
        if not self.tiers or any(tier.empty for tier in self.tiers):
            raise UserError(f"tiers={list(tiers)}: give texts, the least help first")

    def bind(self, problems: Problems) -> None:
        """See `KnowsProblems`."""
        super().bind(problems)
        check_columns(self.tiers, problems.prompts.values())

    def ladders(self, samples: Sequence[str], seed: int) -> Ladders:
        """See `Ladder.ladders`."""
        return dict.fromkeys(samples, self.tiers)
