"""The first part of a reference solution as a hint, before the question or within the answer."""

from collections.abc import Sequence
from typing import Literal

from p2o.constraints import Count
from p2o.errors import UserError
from p2o.evolution.guarded import Assignment, GuardedSearch, Report
from p2o.evolution.ladder import Ladder, Ladders
from p2o.evolution.shares import ShareRule
from p2o.evolution.trials import as_candidates, tried
from p2o.hints.assignment import keep_or_draw
from p2o.hints.filling import check_columns
from p2o.hints.problems import Problems, Where
from p2o_callbacks.hint import Hint
from p2o_callbacks.pool import PromptPool
from p2o_callbacks.protocols import EvaluateTemplates, Evolution

Place = Literal["question", "answer"]
"""Where the part stands: in front of the question, or at the beginning of the answer."""
PART = "{part}"
BEGINS = "The solution begins like this:\n\n{part}"


class PartOfSolution:
    """Makes the hint that shows a share of a solution.

    Args:
        place: In front of the question, or as the beginning of the answer, forced: those tokens are
            part of the response that the verifier reads, and carry no gradient.
        column: The problem's own column with the solution.
        text: What stands in front of the question, with ``{part}`` in it.
        learned: Whether forced tokens are trained on all the same, as if the policy had chosen
            them.

    Raises:
        UserError: The text has no place for the part, or what is learned is no part of the answer.
    """

    def __init__(
        self,
        place: Place = "question",
        column: str = "solution",
        text: str = BEGINS,
        learned: bool = False,
    ) -> None:
        if PART not in text:
            raise UserError(f"text={text!r:.60}: write {PART} where the solution's part belongs")
        if learned and place != "answer":
            raise UserError("learned=true: only what begins the answer can be; give place=answer")
        self.place, self.column, self.text, self.learned = place, column, text, learned

    def hint(self, share: float) -> Hint:
        """The hint with this share, for any problem; the empty one with none."""
        if share == 0:
            return Hint("")
        part = f"{{{self.column}:{100 * share:.6g}%}}"
        if self.place == "answer":
            return Hint("", prefix=part, columns=True, learned=self.learned)
        return Hint(self.text.replace(PART, part), columns=True)


class SolutionShare(GuardedSearch):
    """Shows a share of each problem's solution, which a rule says.

    Nothing is tried, so it spends nothing. The solution is shown on purpose; a guard against leaks
    looks at `text` alone.

    Args:
        share: The rule.
        place: See `PartOfSolution`.
        column: Likewise.
        text: Likewise.
        among: Problems that have hints: those that are hard at the time, or all.
        minimum: Problems below which nothing is done.
        learned: See `PartOfSolution`.
    """

    def __init__(
        self,
        share: ShareRule,
        place: Place = "question",
        column: str = "solution",
        text: str = BEGINS,
        among: Where = "hard",
        minimum: Count = 1,
        learned: bool = False,
    ) -> None:
        super().__init__(among, minimum)
        self.share, self.part = share, PartOfSolution(place, column, text, learned)

    def bind(self, problems: Problems) -> None:
        """See `KnowsProblems`."""
        super().bind(problems)
        check_columns([self.part.hint(1.0)], problems.prompts.values())

    def search(
        self,
        samples: Sequence[str],
        evaluate: EvaluateTemplates,
        *,
        group_size: int,
        seed: int,
        report: Report,
    ) -> Evolution:
        """See `GuardedSearch.search`."""
        shares = self.share.shares(samples, self.problems)
        levels = sorted({share for share in shares.values() if share > 0})
        pool = PromptPool(
            tuple(tried(self.part.hint(level), {}) for level in levels),
            tuple(range(len(levels))),
            {
                sample: (levels.index(share) if share else None,) * group_size
                for sample, share in shares.items()
            },
        )
        return Evolution(pool, candidates=as_candidates(pool.templates, pool))

    def dealt(
        self, pool: PromptPool, samples: Sequence[str], *, group_size: int, seed: int
    ) -> Assignment:
        """See `GuardedSearch.dealt`."""
        return keep_or_draw(pool, samples, group_size, seed)


class SearchedShare(Ladder):
    """The smallest share of its solution that lets the policy solve a problem (after BREAD).

    BREAD (arXiv 2506.17211) looks for the shortest beginning of an expert's solution from which the
    policy finds its way. The solution is shown on purpose; a guard against leaks looks at `text`
    alone.

    Args:
        shares: To be tried, the smallest first.
        place: See `PartOfSolution`.
        column: Likewise.
        text: Likewise.
        among: Problems that have hints: those that are hard at the time, or all.
        minimum: Problems below which nothing is done.

    Raises:
        UserError: The shares are no rising numbers above 0 and up to 1.
    """

    def __init__(
        self,
        shares: Sequence[float] = (0.25, 0.5, 0.75),
        place: Place = "question",
        column: str = "solution",
        text: str = BEGINS,
        among: Where = "hard",
        minimum: Count = 1,
    ) -> None:
        super().__init__(among, minimum)
        rising = all(a < b for a, b in zip([0.0, *shares], [*shares, 2.0], strict=True))
        if not shares or not rising or shares[-1] > 1:
            raise UserError(f"shares={list(shares)}: give rising numbers above 0 and up to 1")
        part = PartOfSolution(place, column, text)
        self.hints = [part.hint(share) for share in shares]

    def bind(self, problems: Problems) -> None:
        """See `KnowsProblems`."""
        super().bind(problems)
        check_columns(self.hints, problems.prompts.values())

    def ladders(self, samples: Sequence[str], seed: int) -> Ladders:
        """See `Ladder.ladders`."""
        return dict.fromkeys(samples, self.hints)
