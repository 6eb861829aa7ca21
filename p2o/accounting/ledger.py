"""What a run has spent, by phase. Nothing is generated, trained on or reflected past it.

Each rank counts what it does itself. Totals and saved states are sums over ranks, except for
seconds, which are rank 0's; asking for them is collective.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import CoroutineType
from typing import Any, Self

from p2o.policy.causal import CausalPolicy
from p2o.prompt import Prompt
from p2o.reflection.base import (
    Reflection,
    ReflectionRequest,
    RemoteReflection,
    last_exchanges,
)
from p2o.rollout.engine import Completion, RolloutEngine, SamplingParameters
from p2o.rollout.environment import Environment, Sampler
from p2o.rollout.rendering import ChatRenderer
from p2o.running.distributed import gather_shards, rank
from p2o.running.preemption import interruptible
from p2o_callbacks.candidates import Exchange

PHASES = ("train", "scoring", "evolution", "evaluation")
"""Rollouts and updates; forward passes without gradient; template search; held-out problems."""
METHOD = ("train", "scoring", "evolution")
"""Phases of what the method spends: all but held-out evaluation."""
COUNTERS = (
    "rollouts",
    "generated_tokens",
    "trained_tokens",
    "scored_tokens",
    "metric_calls",
    "spared_calls",
    "reflection_calls",
    "reflection_tokens",
    "seconds",
)
"""Rollouts of problems and their tokens; tokens put through the network with and without gradient;
template evaluations on a sample, and those that training has made needless; proposals asked for and
their tokens; wall-clock time."""

Counts = dict[str, dict[str, float]]
"""Amounts by phase and counter."""


class Ledger:
    """Counters by phase. A phase may be entered inside another; time goes to the inner one.

    Args:
        flops: Operations of the network for a token without gradient, and with it.
    """

    def __init__(self, flops: tuple[float, float] = (0.0, 0.0)) -> None:
        self.flops = flops
        self._counts: Counts = {phase: dict.fromkeys(COUNTERS, 0) for phase in PHASES}
        self._stack: list[str] = []
        self._since = time.monotonic()
        self._kept: Counts = {}

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Attribute what is spent inside to the phase `name`."""
        self._settle()
        self._stack.append(name)
        try:
            yield
        finally:
            self._settle()
            self._stack.pop()

    def add(self, **amounts: float) -> None:
        """Add to counters of the current phase; outside any phase that is ``train``."""
        counts = self._counts[self._stack[-1] if self._stack else "train"]
        for counter, amount in amounts.items():
            counts[counter] += amount

    def add_shared(self, **amounts: float) -> None:
        """Add what every rank takes part in and only one may count."""
        if rank() == 0:
            self.add(**amounts)

    def counts(self) -> Counts:
        """What this rank has spent so far."""
        return {phase: dict(counts) for phase, counts in self._counts.items()}

    def keep(self) -> None:
        """What was spent so far is not spent again, whatever breaks off what follows."""
        self._kept = self.counts()

    def take_back(self) -> None:
        """Go back to what was kept last, if anything was; but seconds have passed.

        Those of a search come again with its results, from its `Journal`.
        """
        for phase, amounts in self._kept.items():
            passed = {} if phase == "evolution" else {"seconds": self._counts[phase]["seconds"]}
            self._counts[phase].update(amounts | passed)

    def _settle(self) -> None:
        now = time.monotonic()
        if self._stack:
            self.add(seconds=now - self._since)
        self._since = now

    def total(self, counter: str, phases: Sequence[str] = PHASES) -> float:
        """Sum of one counter over phases and ranks."""
        state = self.state_dict()
        return sum(state[phase][counter] for phase in phases)

    @property
    def training_rollouts(self) -> int:
        """Rollouts that the method spent: all but those of held-out evaluation."""
        return int(self.total("rollouts", METHOD))

    @property
    def training_tokens(self) -> int:
        """Tokens that were generated for the method, reflections included."""
        counters = ("generated_tokens", "reflection_tokens")
        return int(sum(self.total(counter, METHOD) for counter in counters))

    @property
    def training_flops(self) -> float:
        """Operations that the method took, for tokens sampled, scored and trained on.

        Tokens of reflections count as tokens of the policy, whoever wrote them.
        """
        forward, training = self.flops
        passed = ("generated_tokens", "reflection_tokens", "scored_tokens")
        read = sum(self.total(counter, METHOD) for counter in passed)
        return forward * read + training * self.total("trained_tokens", METHOD)

    @property
    def training_seconds(self) -> float:
        """Time that the method took, scoring and search included; rank 0's."""
        return self.total("seconds", METHOD)

    def state_dict(self) -> dict[str, dict[str, float]]:
        """Primitives only, the same on all ranks."""
        self._settle()
        ranks = gather_shards([self._counts])
        return {
            phase: {
                counter: counts[phase][counter]
                if counter == "seconds"
                else sum(other[phase][counter] for other in ranks)
                for counter in COUNTERS
            }
            for phase in PHASES
            for counts in ranks[:1]
        }

    def load_state_dict(self, state: Mapping[str, Mapping[str, float]]) -> None:
        """Take over what `state_dict` wrote; rank 0 keeps it, the others begin at nothing."""
        for phase, counts in state.items():
            for counter, amount in counts.items():
                self._counts[phase][counter] = amount if rank() == 0 else 0
        self._since = time.monotonic()
        self.keep()


class MeteredEngine:
    """A rollout engine whose every sampled token is in the ledger.

    Args:
        engine: The engine that does the work.
        ledger: Where to count.
        reflection: Whether what it samples are reflections instead of rollouts of problems.
    """

    def __init__(self, engine: RolloutEngine, ledger: Ledger, reflection: bool = False) -> None:
        self.engine, self.ledger, self.reflection = engine, ledger, reflection

    def generate(
        self,
        prompts: Sequence[Sequence[int]],
        sampling: SamplingParameters,
        seeds: Sequence[int],
    ) -> list[Completion]:
        """Sample and count; see `RolloutEngine.generate`."""
        with interruptible():
            completions = self.engine.generate(prompts, sampling, seeds)
        tokens = sum(len(completion.token_ids) for completion in completions)
        if self.reflection:
            self.ledger.add(reflection_tokens=tokens)
        else:
            self.ledger.add(generated_tokens=tokens)
        return completions

    @property
    def max_length(self) -> int | None:
        """Tokens of a prompt and its completion together; None where the engine does not say."""
        return getattr(self.engine, "max_length", None)

    def update_weights(self, policy: CausalPolicy) -> None:
        """See `RolloutEngine.update_weights`."""
        self.engine.update_weights(policy)

    def frozen_copy(self) -> Self:
        """See `RolloutEngine.frozen_copy`."""
        return type(self)(self.engine.frozen_copy(), self.ledger, self.reflection)

    def release(self) -> None:
        """See `RolloutEngine.release`."""
        self.engine.release()


class MeteredEnvironment:
    """An environment whose every rollout is in the ledger, once for all of its turns.

    Args:
        environment: How a rollout goes.
        ledger: Where to count.
    """

    def __init__(self, environment: Environment, ledger: Ledger) -> None:
        self.environment, self.ledger = environment, ledger

    def run(
        self, problem: Prompt, hint: str, sampler: Sampler
    ) -> "CoroutineType[Any, Any, str | None]":
        """Count, and hand the work over; see `Environment.run`."""
        self.ledger.add(rollouts=1)
        return self.environment.run(problem, hint, sampler)


class MeteredReflection:
    """A reflection backend whose every call and token is in the ledger.

    Args:
        reflection: The backend that does the work.
        ledger: Where to count.
        refresh: Gives the engine of a search the weights of now. A search may reflect before it
            tries anything, and what is on record belongs to the weights that it was made with.

    Attributes:
        exchanges: See `ConversingReflection`.
    """

    def __init__(
        self,
        reflection: Reflection,
        ledger: Ledger,
        refresh: Callable[[], object] = lambda: None,
    ) -> None:
        self.reflection, self.ledger, self.refresh = reflection, ledger, refresh
        self.exchanges: list[Exchange | None] = []

    def bind(self, engine: RolloutEngine, renderer: ChatRenderer) -> None:
        """Bind the backend to an engine that counts its tokens as reflection."""
        bare: Any = engine.engine if isinstance(engine, MeteredEngine) else engine
        self.reflection.bind(MeteredEngine(bare, self.ledger, reflection=True), renderer)

    def reflect(self, requests: Sequence[ReflectionRequest]) -> list[str | None]:
        """Reflect and count; see `Reflection.reflect`."""
        with self.ledger.phase("evolution"):
            self.refresh()
            self.ledger.add_shared(reflection_calls=len(requests))
            before = self._remote_tokens()
            with interruptible():
                templates = self.reflection.reflect(requests)
            self.ledger.add(reflection_tokens=self._remote_tokens() - before)
            self.exchanges = last_exchanges(self.reflection, len(requests))
            return templates

    def _remote_tokens(self) -> int:
        return self.reflection.tokens if isinstance(self.reflection, RemoteReflection) else 0
