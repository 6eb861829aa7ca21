"""What a search can know of the training problems besides their ids."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any, Literal, Protocol, runtime_checkable

from p2o.hints.evidence import Evidence
from p2o.prompt import Prompt

Where = Literal["hard", "all"]
"""Which problems have hints: those that are hard at the time, or all."""
Tally = tuple[int, int]
"""Rollouts of a group, with hints or without, that solved the problem; those with a verdict."""


@dataclass(frozen=True)
class ProblemOutcome:
    """How the rollouts of one group fared that had hints, or those that had none.

    A group that has both has two of these.

    Attributes:
        prompt_id: Of the problem.
        success_rate: Share of its rollouts with a verdict that solved it; None where none has one.
        hinted: Whether a hint stood around them.
        solution: A response that the verifier found right, the last of them; None where there was
            none.
        reliance: Hint, and mean of log pi(y|x~) - log pi(y|x) over tokens, of each success
            with a hint of which it was measured.
        judged: Its rollouts with a verdict.
    """

    prompt_id: str
    success_rate: float | None
    hinted: bool
    solution: str | None
    reliance: tuple[tuple[str, float], ...] = ()
    judged: int = 0


class Problems:
    """The training problems, and what their rollouts have shown so far. The same on all ranks.

    Args:
        prompts: The training prompts.

    Attributes:
        prompts: By id.
        keep: Of how many problems a verified solution is kept, the newest; a search that shows
            solutions raises it.
        solutions: By problem id, the newest solution of the policy's own that was verified; the
            problem solved last stands last.
        hinted_rates: By problem id, the success rate of the rollouts with hints of the last group
            in which some had a verdict; a search may take it away.
        bare: By problem id, how those without a hint fared, likewise.
        bare_rates: By problem id, the success rate of these; a search may take it away.
        memory: Numbers that a search keeps until the next one, by name.
        keeps_reliance: Whether anybody wants to know of reliance.
        reliance: By name of a hint, the mean over its successes in the last batch that had one.
        evidence: How hints fared in training, for a search that wants to know.
    """

    def __init__(self, prompts: Sequence[Prompt]) -> None:
        self.prompts: Mapping[str, Prompt] = {prompt.id: prompt for prompt in prompts}
        self.keep = 0
        self.solutions: dict[str, str] = {}
        self.hinted_rates: dict[str, float] = {}
        self.bare: dict[str, Tally] = {}
        self.bare_rates: dict[str, float] = {}
        self.memory: dict[str, float] = {}
        self.keeps_reliance = False
        self.reliance: dict[str, float] = {}
        self.evidence = Evidence(self.prompts)

    def note(self, outcomes: Sequence[ProblemOutcome]) -> None:
        """Take in how groups of one batch fared."""
        measured: defaultdict[str, list[float]] = defaultdict(list)
        for outcome in outcomes:
            for hint, value in outcome.reliance if self.keeps_reliance else ():
                measured[hint].append(value)
            if outcome.hinted and outcome.success_rate is not None:
                self.hinted_rates[outcome.prompt_id] = outcome.success_rate
            elif outcome.success_rate is not None:
                solved = round(outcome.success_rate * outcome.judged)
                self.bare[outcome.prompt_id] = solved, outcome.judged
                self.bare_rates[outcome.prompt_id] = outcome.success_rate
            if outcome.solution is not None and outcome.solution.strip() and self.keep:
                self.solutions.pop(outcome.prompt_id, None)
                self.solutions[outcome.prompt_id] = outcome.solution.strip()
        self.reliance |= {hint: fmean(values) for hint, values in measured.items()}
        for oldest in list(self.solutions)[: max(0, len(self.solutions) - self.keep)]:
            del self.solutions[oldest]

    def samples(self, among: Where, hard_set: Sequence[str]) -> list[str]:
        """Ids of the problems that are to have hints, sorted.

        A run that goes on with other data may have a hard set in which some are no more. Where no
        problems are known, as in another project, all of it is taken.
        """
        if among == "all":
            return sorted(self.prompts)
        return sorted(each for each in set(hard_set) if each in self.prompts or not self.prompts)

    def state_dict(self) -> dict[str, Any]:
        """Primitives only, for a checkpoint."""
        return {
            "solutions": dict(self.solutions),
            "hinted_rates": dict(self.hinted_rates),
            "bare": dict(self.bare),
            "bare_rates": dict(self.bare_rates),
            "memory": dict(self.memory),
            "reliance": dict(self.reliance),
            "evidence": self.evidence.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` wrote, of problems that there are."""

        def known(name: str) -> dict[str, Any]:
            return {key: value for key, value in state[name].items() if key in self.prompts}

        self.solutions, self.hinted_rates = known("solutions"), known("hinted_rates")
        self.bare_rates = known("bare_rates")
        self.bare = {key: tuple(tally) for key, tally in known("bare").items()}
        self.memory = dict(state["memory"])
        self.reliance = dict(state["reliance"])
        self.evidence.load_state_dict(state["evidence"])


@runtime_checkable
class KnowsProblems(Protocol):
    """A search, or a part of one, that looks at problems, not at ids alone."""

    def bind(self, problems: Problems) -> None:
        """Take the problems, before anything is spent.

        Raises:
            UserError: One of them lacks what the hints are made of; names the row and the column.
        """
        ...
