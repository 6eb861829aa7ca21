"""Held-out evaluation as a loader: bare prompts in, mean rewards out."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor, tensor

from p2o.data.prompt import Prompt
from p2o.errors import UserError
from p2o.ledger import Ledger
from p2o.preemption import uninterruptible
from p2o.rollout.engine import SamplingParameters
from p2o.rollout.runner import RolloutRunner
from p2o.seeds import derive_seed


@dataclass
class EvaluationBatch:
    """Results of one evaluation.

    Attributes:
        rewards: `[N]`, mean over the samples of each prompt.
        hard: `[N]`, whether the untrained policy never got the prompt right.
        rollouts: What the method has spent so far.
    """

    rewards: Tensor
    hard: Tensor
    rollouts: int


class EvaluationLoader:
    """Rolls out held-out prompts without any template; yields one batch, the same on all ranks.

    Args:
        prompts: The held-out prompts.
        runner: Rolls out and verifies.
        sampling: How to draw tokens.
        samples: Responses to each prompt.
        ledger: Counts under ``evaluation``.
        refresh_engine: Gives the engine the current weights.
        seed: Of the run; every evaluation of a run uses the same one.

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
        seed: int,
    ) -> None:
        if samples > 1 and sampling.temperature == 0:
            raise UserError(
                f"data.held_out_samples={samples}: at temperature 0 all are the same; give 1, or "
                "raise sampling.held_out.temperature"
            )
        self.prompts, self.runner, self.sampling, self.samples = prompts, runner, sampling, samples
        self.ledger, self.refresh_engine, self.seed = ledger, refresh_engine, seed
        self.baseline: Mapping[str, float] = {}
        self.latest: Mapping[str, float] = {}

    def __len__(self) -> int:
        return 1

    def __iter__(self) -> Iterator[EvaluationBatch]:
        results = self.evaluate()
        if not self.baseline:
            self.baseline = results
        self.latest = results
        yield EvaluationBatch(
            rewards=tensor(list(results.values())),
            hard=tensor([self.baseline[prompt_id] == 0 for prompt_id in results]),
            rollouts=self.ledger.training_rollouts,
        )

    def evaluate(self) -> dict[str, float]:
        """Mean reward by prompt id."""
        with self.ledger.phase("evaluation"), uninterruptible():
            self.refresh_engine()
            rollouts = self.runner.run(
                [(prompt, "") for prompt in self.prompts for _ in range(self.samples)],
                self.sampling,
                derive_seed(self.seed, "evaluation"),
            )
        results: dict[str, float] = dict.fromkeys((prompt.id for prompt in self.prompts), 0.0)
        for rollout in rollouts:
            results[rollout.prompt.id] += rollout.score.reward / self.samples
        return results
