"""When a search ends; each class is one of gepa's stoppers."""

from collections.abc import Collection, Sequence
from typing import Any

from gepa.core.state import GEPAState

from p2o.evolution.adapter import COMPONENT, TemplateAdapter
from p2o.evolution.reflector import Reflector
from p2o_callbacks.hint import HintOrText
from p2o_callbacks.protocols import EvaluateTemplates, TemplateTrial


class Budget:
    """Metric calls that may be spent: never exceeded, since each stage asks what it can afford.

    It counts trials that are made. gepa's own count has all dev samples of each candidate in it,
    whether a result is known or not.

    Args:
        calls: Metric calls in all, the seed template's evaluation included.
        minibatch_size: Samples of a reflection, B of the paper.
        dev_size: Samples of a full evaluation.

    Attributes:
        spent: Metric calls that were made.
    """

    def __init__(self, calls: int, minibatch_size: int, dev_size: int) -> None:
        self.calls, self.minibatch_size, self.dev_size = calls, minibatch_size, dev_size
        self.spent = 0

    def around(self, evaluate: EvaluateTemplates) -> EvaluateTemplates:
        """The same trials, each of which is a metric call."""

        def charged(pairs: Sequence[tuple[str, HintOrText]]) -> list[TemplateTrial]:
            self.spent += len(pairs)
            return evaluate(pairs)

        return charged

    @property
    def smallest(self) -> int:
        """What the seed's evaluation, one proposal and its acceptance take."""
        return 2 * self.dev_size + 2 * self.minibatch_size

    @property
    def left(self) -> int:
        """Metric calls not spent yet."""
        return self.calls - self.spent

    @property
    def proposals(self) -> int:
        """Proposals that can be made with enough left over to accept one of them."""
        return max(0, (self.left - self.dev_size) // (2 * self.minibatch_size))

    @property
    def acceptances(self) -> int:
        """Candidates that can be evaluated on all dev samples."""
        return self.left // self.dev_size

    def __call__(self, gepa_state: GEPAState[Any, Any]) -> bool:
        """Whether what is left cannot pay for one more proposal and its acceptance."""
        return self.proposals == 0


class Standstill:
    """Ends a search whose iterations bring nothing to try.

    An iteration goes forward when a reflection proposes a template, or when the parents solve all
    of their samples and some of these had not been tried yet. All others stand still: reflections
    failed, or wrote what is known.

    Args:
        patience: Iterations in a row that may stand still.
        reflector: Tells what was proposed.
    """

    def __init__(self, patience: int, reflector: Reflector) -> None:
        self.patience, self.reflector = patience, reflector
        self.still = self._asked = self._proposed = self._calls = 0

    @property
    def reached(self) -> bool:
        """Whether the search stands still."""
        return self.still >= self.patience

    def on_iteration_end(self, event: Any) -> None:
        """See gepa's callbacks."""
        asked, proposed = self.reflector.asked, self.reflector.proposed
        calls = event["state"].total_num_evals
        only_looked = asked == self._asked and calls > self._calls
        self.still = 0 if proposed > self._proposed or only_looked else self.still + 1
        self._asked, self._proposed, self._calls = asked, proposed, calls

    def __call__(self, gepa_state: GEPAState[Any, Any]) -> bool:
        """Whether to stop, as gepa's stoppers are asked."""
        return self.reached


class EverythingSolved:
    """Ends a search when each dev sample is solved by some template, be it the empty one.

    Args:
        adapter: Knows the verdicts.
        dev: Ids of the dev samples.
    """

    def __init__(self, adapter: TemplateAdapter, dev: Collection[str]) -> None:
        self.adapter, self.dev = adapter, frozenset(dev)

    def __call__(self, gepa_state: GEPAState[Any, Any]) -> bool:
        """Whether nothing is left to be solved."""
        found = (candidate[COMPONENT] for candidate in gepa_state.program_candidates)
        return self.dev <= frozenset().union(*map(self.adapter.solved, found))
