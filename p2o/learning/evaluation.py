"""Held-out evaluation as a loader: prompts in, accuracies out."""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, tensor

from p2o.accounting.ledger import Ledger
from p2o.errors import UserError
from p2o.learning.pass_at_k import mean_pass_at
from p2o.learning.rolled_out import RolledOut, RolloutObserver
from p2o.prompt import Prompt
from p2o.rollout.engine import SamplingParameters
from p2o.rollout.runner import RolloutRunner
from p2o.running.counted import counted
from p2o.running.preemption import uninterruptible
from p2o.running.seeds import derive_seed
from p2o_callbacks.hint import HintOrText


@dataclass
class EvaluationBatch:
    """Results of one evaluation.

    Attributes:
        accuracies: `[N]`, share of each prompt's samples that are solved.
        reward: Mean reward of the samples with a verdict; not a number where none has one.
        failed: Share of samples on which the verifier failed or timed out.
        hard: `[N]`, whether the untrained policy never got the prompt right.
        rollouts: What the method has spent so far.
        sources: Name of each prompt's source, in order; empty where there is one alone.
        tokens: What the method has generated so far, reflections included.
        flops: Floating-point operations of the method so far.
        seconds: What the method has taken so far.
        pass_at: Mean pass@k by k, where there are several samples; see `mean_pass_at`.
    """

    accuracies: Tensor
    reward: float
    failed: float
    hard: Tensor
    rollouts: int
    sources: Sequence[str] = ()
    tokens: int = 0
    flops: float = 0.0
    seconds: float = 0.0
    pass_at: Mapping[int, float] = field(default_factory=dict)

    def metrics(self) -> dict[str, tuple[Tensor | float, int]]:
        """What is logged of the evaluation, by its name, and over how many prompts each is a mean.

        Accuracy is the share that is solved; ``val/reward`` is the mean reward.
        """
        prompts = len(self.accuracies)
        found: dict[str, tuple[Tensor | float, int]] = {
            "val/accuracy": (self.accuracies.mean(), prompts),
            "val/failed": (self.failed, prompts),
            "ledger/rollouts": (float(self.rollouts), 1),
            "ledger/tokens": (float(self.tokens), 1),
            "ledger/flops": (self.flops, 1),
            "ledger/seconds": (self.seconds, 1),
        }
        if not math.isnan(self.reward):
            found["val/reward"] = self.reward, prompts
        found |= {f"val/pass_at_{k}": (value, prompts) for k, value in self.pass_at.items()}
        if self.hard.any():
            hard = self.accuracies[self.hard]
            found["val/hard_accuracy"] = hard.mean(), len(hard)
        for source, accuracies in self.by_source().items():
            found[f"val/{source}/accuracy"] = accuracies.mean(), len(accuracies)
        return found

    def by_source(self) -> dict[str, Tensor]:
        """Accuracies `[N_s]` of each source's prompts, where there are several."""
        return {
            source: self.accuracies[tensor([other == source for other in self.sources])]
            for source in sorted(set(self.sources) - {""})
        }


class EvaluationLoader:
    """Rolls out held-out prompts, with one hint or none; yields one batch, the same on all ranks.

    Args:
        prompts: The held-out prompts.
        runner: Rolls out and verifies.
        sampling: How to draw tokens.
        samples: Responses to each prompt.
        ledger: Counts under ``evaluation``.
        refresh_engine: Gives the engine the current weights.
        updates: Tells how many updates these have had.
        seed: Of the run; every evaluation of a run uses the same one.
        hint: Tells which hint all problems have; the empty one for none.

    Attributes:
        untrained: Accuracy by prompt id, of the untrained policy: the share of its responses that
            are solved.
        latest: The same, of the last evaluation.
        rewards: Mean reward of all responses, ``before`` of the untrained policy, ``after`` of the
            last evaluation; it differs from the accuracy where rewards are partial.
        measured_at: The number of updates before that.

    Raises:
        UserError: Several samples are asked for where all would be the same.
    """

    def __init__(
        self,
        prompts: Sequence[Prompt],
        runner: RolloutRunner,
        sampling: SamplingParameters,
        samples: int,
        ledger: Ledger,
        refresh_engine: Callable[[], None],
        updates: Callable[[], int],
        seed: int,
        hint: Callable[[], HintOrText] = str,
    ) -> None:
        if samples > 1 and sampling.temperature == 0:
            raise UserError(
                f"samples={samples}: at temperature 0 all are the same; give 1, or raise the "
                "temperature"
            )
        self.prompts, self.runner, self.sampling, self.samples = prompts, runner, sampling, samples
        self.ledger, self.refresh_engine, self.seed = ledger, refresh_engine, seed
        self.updates, self.hint = updates, hint
        self.untrained: Mapping[str, float] = {}
        self.unjudged: frozenset[str] = frozenset()
        self.latest: Mapping[str, float] = {}
        self.rewards: dict[str, float | None] = {"before": None, "after": None}
        self.measured_at: int | None = None
        self.rollout_observers: list[RolloutObserver] = []

    def __len__(self) -> int:
        return 1

    def __iter__(self) -> Iterator[EvaluationBatch]:
        results, reward, failed, unjudged = self.evaluate()
        if not self.untrained:
            self.untrained, self.unjudged, self.rewards["before"] = results, unjudged, reward
        self.rewards["after"] = reward
        self.latest, self.measured_at = results, self.updates()
        yield EvaluationBatch(
            accuracies=tensor(list(results.values())),
            reward=reward,
            failed=failed,
            hard=tensor([self.is_hard(prompt_id) for prompt_id in results]),
            rollouts=self.ledger.training_rollouts,
            sources=[prompt.source for prompt in self.prompts],
            tokens=self.ledger.training_tokens,
            flops=self.ledger.training_flops,
            seconds=self.ledger.training_seconds,
            pass_at=mean_pass_at(
                self.samples, [round(own * self.samples) for own in results.values()]
            ),
        )

    def is_hard(self, prompt_id: str) -> bool:
        """Whether the untrained policy was judged, and never solved it."""
        return self.untrained[prompt_id] == 0 and prompt_id not in self.unjudged

    def state_dict(self) -> dict[str, Any]:
        """What was measured."""
        return {
            "untrained": dict(self.untrained),
            "unjudged": sorted(self.unjudged),
            "latest": dict(self.latest),
            "rewards": dict(self.rewards),
            "measured_at": self.measured_at,
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over what `state_dict` wrote."""
        self.untrained, self.latest = dict(state_dict["untrained"]), dict(state_dict["latest"])
        self.unjudged = frozenset(state_dict["unjudged"])
        self.rewards = dict(state_dict["rewards"])
        self.measured_at = state_dict["measured_at"]

    def evaluate(self) -> tuple[dict[str, float], float, float, frozenset[str]]:
        """Accuracy by prompt id, the mean reward, and what has no verdict.

        The latter is the share of such samples, and the prompts of which no sample has one. What
        has no verdict is not solved, and is no reward of 0. A reward below the one that counts as
        solved adds to the mean reward alone.
        """
        hint = self.hint()
        pairs = [(prompt, hint) for prompt in self.prompts for _ in range(self.samples)]
        with (
            self.ledger.phase("evaluation"),
            uninterruptible(),
            counted("responses of the evaluation", len(pairs), announced=True),
        ):
            self.refresh_engine()
            rollouts = self.runner.run(pairs, self.sampling, derive_seed(self.seed, "evaluation"))
            # Updates may follow an evaluation within an epoch.
            self.runner.engine.release()
        solved = Counter(rollout.prompt.id for rollout in rollouts if rollout.score.solved)
        accuracies = {prompt.id: solved[prompt.id] / self.samples for prompt in self.prompts}
        starts = range(0, len(rollouts), self.samples)
        groups = [rollouts[start : start + self.samples] for start in starts]
        for watch in self.rollout_observers:
            watch(RolledOut("held_out", groups, untrained=not self.untrained))
        rewards = [rollout.score.reward for rollout in rollouts if not rollout.score.failed]
        reward = sum(rewards) / len(rewards) if rewards else math.nan
        judged = {rollout.prompt.id for rollout in rollouts if not rollout.score.failed}
        unjudged = frozenset(accuracies) - judged
        return accuracies, reward, 1 - len(rewards) / len(rollouts), unjudged
