"""Parts for a run of p2o that is measured: engines and verifiers that tell the clock."""

import math
import random
from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any, Self

from benchmarks.clock import CLOCK, GENERATION, VERIFYING
from p2o.rollout.engine import Completion, SamplingParameters
from p2o.verifiers import Score, Status


class Timed:
    """An engine whose calls are on the clock.

    Args:
        model: The policy's.
        engine: Makes the engine that does the work, of the model.
    """

    def __init__(self, model: Any, engine: Callable[..., Any]) -> None:
        self.engine = engine(model=model)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.engine, name)

    def generate(
        self,
        prompts: Sequence[Sequence[int]],
        sampling: SamplingParameters,
        seeds: Sequence[int],
    ) -> list[Completion]:
        """Sample, and note how long it took."""
        with CLOCK.span(GENERATION):
            completions = self.engine.generate(prompts, sampling, seeds)
        _note(prompts, completions)
        return completions


class Prescribed:
    """An engine that samples nothing: random tokens, as many as asked for, at no cost.

    Args:
        model: The policy's.
    """

    def __init__(self, model: Any) -> None:
        self.vocabulary = int(model.config.get_text_config().vocab_size)
        ends = model.generation_config.eos_token_id
        self.ends = {ends} if isinstance(ends, int) else set(ends)

    def generate(
        self,
        prompts: Sequence[Sequence[int]],
        sampling: SamplingParameters,
        seeds: Sequence[int],
    ) -> list[Completion]:
        """Completions of ``max_new_tokens`` random tokens."""
        completions = [self._draw(seed, sampling.max_new_tokens) for seed in seeds]
        _note(prompts, completions)
        return completions

    def _draw(self, seed: int, length: int) -> Completion:
        allowed = [token for token in range(self.vocabulary) if token not in self.ends]
        tokens = random.Random(seed).choices(allowed, k=length)
        return Completion(tuple(tokens), "length", (-math.log(len(allowed)),) * length)

    def update_weights(self, policy: Any) -> None:
        """Nothing to do."""

    def frozen_copy(self) -> Self:
        """Itself, which never changes."""
        return self

    def release(self) -> None:
        """Nothing to do."""


class Contrast:
    """A verifier that gives every live group as many right answers as wrong ones.

    Args:
        dead: Share of groups whose answers are all wrong.
    """

    def __init__(self, dead: float = 0.0) -> None:
        self.dead = dead

    def score(self, responses: Sequence[str], prompts: Sequence[Any]) -> list[Score]:
        """Verdicts by place in the group alone."""
        return [Score(reward, Status.OK) for reward in contrast(prompts, self.dead)]


class TimedVerifier:
    """A verifier whose work is on the clock.

    Args:
        verifier: Does the work.
    """

    def __init__(self, verifier: Any) -> None:
        self.verifier = verifier

    def score(self, responses: Sequence[str], prompts: Sequence[Any]) -> list[Score]:
        """Score, and note how long it took."""
        with CLOCK.span(VERIFYING):
            return self.verifier.score(responses, prompts)


def contrast(prompts: Sequence[Any], dead: float) -> list[float]:
    """A reward for each rollout: 1 and 0 in turn in live groups, 0 in dead ones.

    Args:
        prompts: Of each rollout; equal neighbours are a group.
        dead: Share of groups that are dead, spread evenly.
    """
    rewards: list[float] = []
    for index, (_, group) in enumerate(groupby(prompts)):
        live = math.floor((index + 1) * dead) == math.floor(index * dead)
        rewards += [float(live and place % 2 == 0) for place, _ in enumerate(group)]
    return rewards


def _note(prompts: Sequence[Sequence[int]], completions: Sequence[Completion]) -> None:
    CLOCK.called(list(map(len, prompts)), [len(each.token_ids) for each in completions])
