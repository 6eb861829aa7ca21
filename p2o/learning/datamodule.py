"""The DataModule: owns the prompts, rolls them out, and is what the callbacks talk to."""

import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from lightning.pytorch import LightningDataModule

from p2o.accounting.ledger import Ledger
from p2o.errors import OtherRun, UserError
from p2o.hints.problems import Problems
from p2o.learning.allocation import Allocation
from p2o.learning.evaluation import EvaluationLoader
from p2o.learning.experience import ExperienceBuilder
from p2o.learning.loader import RolloutLoader
from p2o.learning.module import P2OModule
from p2o.learning.rolled_out import RolledOut, RolloutObserver
from p2o.learning.sizes import BatchSizes
from p2o.learning.telltale import Telltale
from p2o.learning.trials import trial_of
from p2o.prompt import Prompt
from p2o.rollout.engine import SamplingParameters
from p2o.rollout.runner import RolloutRunner
from p2o.running.counted import counted
from p2o.running.loggers import log_once
from p2o_callbacks.hint import HintOrText
from p2o_callbacks.pool import PromptPool
from p2o_callbacks.protocols import GroupObserver, TemplateTrial

logger = logging.getLogger(__name__)


class RolloutDataModule(LightningDataModule):
    """Training and held-out prompts, and everything that turns them into batches.

    Implements what `p2o_callbacks` asks for: `GroupSource` and `TemplateUser`.

    Args:
        train: Training prompts.
        held_out: Prompts for evaluation.
        runner: Rolls out prompts.
        search_runner: Tries templates; it may know results of a search that was broken off.
        module: The policy.
        builder: Makes micro-batches of scored groups.
        ledger: What the run has spent.
        sizes: How prompts are grouped.
        sampling: For training rollouts.
        evolution_sampling: For trying templates; the paper's reference takes the most probable
            token.
        held_out_sampling: For evaluation.
        held_out_samples: Responses to each held-out prompt.
        seed: Of the run.
        others_allowed: Whether a checkpoint that was made with other training prompts is taken.
        hints_kept: Whether held-out prompts are asked with the best hint in use.
        allocation: How many rollouts each training prompt gets; as many for all when left out.
        telltale: See `RolloutLoader`.
    """

    def __init__(
        self,
        *,
        train: Sequence[Prompt],
        held_out: Sequence[Prompt],
        runner: RolloutRunner,
        search_runner: RolloutRunner,
        module: P2OModule,
        builder: ExperienceBuilder,
        ledger: Ledger,
        sizes: BatchSizes,
        sampling: SamplingParameters,
        evolution_sampling: SamplingParameters,
        held_out_sampling: SamplingParameters,
        held_out_samples: int,
        seed: int,
        others_allowed: bool = False,
        hints_kept: bool = False,
        allocation: Allocation | None = None,
        telltale: Telltale | None = None,
    ) -> None:
        super().__init__()
        self.others_allowed = others_allowed
        self.group_size = sizes.group_size
        self.ledger, self.evolution_sampling = ledger, evolution_sampling
        self._search_runner = search_runner
        self._prompts = {prompt.id: prompt for prompt in train}
        self._search_observers: list[RolloutObserver] = []
        refresh_engine = partial(_refresh, runner, module)
        self.refresh_search = partial(_refresh, search_runner, module)
        self.loader = RolloutLoader(
            train,
            runner,
            builder,
            sizes,
            sampling,
            ledger,
            position=lambda: (
                module.current_epoch,
                module.trainer.fit_loop.epoch_loop.batch_progress.current.ready,
            ),
            refresh_engine=refresh_engine,
            log=self._log,
            seed=seed,
            allocation=allocation,
            telltale=telltale,
        )
        self.evaluation = EvaluationLoader(
            held_out,
            runner,
            held_out_sampling,
            held_out_samples,
            ledger,
            refresh_engine,
            lambda: module.trainer.global_step,
            seed,
            (lambda: self.loader.pool.best) if hints_kept else str,
        )

    def train_dataloader(self) -> RolloutLoader:
        """One epoch of mini-batches."""
        return self.loader

    def val_dataloader(self) -> EvaluationLoader:
        """One evaluation on the held-out prompts."""
        return self.evaluation

    def _log(self, metrics: Mapping[str, float]) -> None:
        trainer: Any = self.trainer
        log_once(trainer, metrics)

    def add_group_observer(self, observer: GroupObserver) -> None:
        """See `p2o_callbacks.GroupSource`."""
        self.loader.observers.append(observer)

    def add_rollout_observer(self, observer: RolloutObserver) -> None:
        """Call `observer` with all rollouts of training, searches and evaluations, on all ranks."""
        self.loader.rollout_observers.append(observer)
        self.evaluation.rollout_observers.append(observer)
        self._search_observers.append(observer)

    @property
    def training_rollouts(self) -> int:
        """See `p2o_callbacks.RolloutCounter`."""
        return self.ledger.training_rollouts

    @property
    def problems(self) -> Problems:
        """The training problems, and what their rollouts have shown."""
        return self.loader.problems

    @property
    def training_tokens(self) -> int:
        """See `p2o_callbacks.TokenCounter`."""
        return self.ledger.training_tokens

    @property
    def training_flops(self) -> float:
        """See `p2o_callbacks.FlopsCounter`."""
        return self.ledger.training_flops

    @property
    def training_seconds(self) -> float:
        """See `p2o_callbacks.TimeCounter`."""
        return self.ledger.training_seconds

    def publish_pool(self, pool: PromptPool) -> None:
        """See `p2o_callbacks.TemplateUser`."""
        self.loader.pool = pool
        # Updates may follow a search within an epoch before anything is sampled again.
        self._search_runner.engine.release()

    def evaluate_templates(
        self, pairs: Sequence[tuple[str, HintOrText]], seed: int
    ) -> list[TemplateTrial]:
        """See `p2o_callbacks.TemplateUser`."""
        unknown = {sample_id for sample_id, _ in pairs} - self._prompts.keys()
        if unknown:
            raise UserError(
                f"{len(unknown)} of the checkpoint's hard samples are not in this data; "
                "resume with the data configuration of the first run"
            )
        with self.ledger.phase("evolution"), counted("template trials of one round", len(pairs)):
            self.refresh_search()
            self.ledger.add_shared(metric_calls=len(pairs))
            rollouts = self._search_runner.run(
                [(self._prompts[sample_id], candidate) for sample_id, candidate in pairs],
                self.evolution_sampling,
                seed,
            )
        for watch in self._search_observers:
            watch(RolledOut("evolution", [[rollout] for rollout in rollouts]))
        greedy = self.evolution_sampling.temperature == 0
        return [
            replace(trial_of(rollout), repeatable=greedy and not rollout.score.failed)
            for rollout in rollouts
        ]

    def state_dict(self) -> dict[str, Any]:
        """Ledger, place in the epoch, and what was measured; order and seeds follow from these."""
        return {
            "ledger": self.ledger.state_dict(),
            "loader": self.loader.state_dict(),
            "problems": self.problems.state_dict(),
            "credit": self.loader.builder.credit.baseline.state_dict(),
            "evaluation": self.evaluation.state_dict(),
            "train": self.train_digest(),
        }

    def train_digest(self) -> str:
        """A hash of the training prompts and their right answers, in whatever order."""
        # Ids are hashes of questions and answers.
        return hashlib.sha256("".join(sorted(self._prompts)).encode()).hexdigest()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what `state_dict` wrote."""
        before = set(self.evaluation.untrained or state_dict["evaluation"]["untrained"])
        now = {prompt.id for prompt in self.evaluation.prompts}
        if before and before != now:
            raise UserError(
                f"the checkpoint was evaluated on other held-out prompts: {len(before - now)} of "
                f"them are not in this data, and {len(now - before)} are new; resume with the "
                "held-out prompts of the first run"
            )
        if state_dict["train"] != self.train_digest():
            line = "the checkpoint was made with other training prompts or answers"
            if not self.others_allowed:
                raise OtherRun(f"{line}; give those")
            logger.warning("%s; going on with these", line)
        self.ledger.load_state_dict(state_dict["ledger"])
        self.loader.load_state_dict(state_dict["loader"])
        self.problems.load_state_dict(state_dict["problems"])
        self.loader.builder.credit.baseline.load_state_dict(state_dict["credit"])
        self.evaluation.load_state_dict(state_dict["evaluation"])


def _refresh(runner: RolloutRunner, module: P2OModule) -> None:
    """Give the engine the current weights."""
    runner.engine.update_weights(module.policy)
