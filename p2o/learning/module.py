"""The LightningModule: owns the policy and the policy loss, and nothing about mining or prompts."""

import math
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.utilities import GradClipAlgorithmType
from torch import Tensor, nn
from torch.distributed.fsdp import FullyShardedDataParallel
from torch.nn.utils import clip_grads_with_norm_

from p2o.constraints import Count
from p2o.learning.early_end import EarlyEnd
from p2o.learning.evaluation import EvaluationBatch
from p2o.learning.minibatch import MiniBatch
from p2o.learning.pass_loss import PassLoss
from p2o.learning.step_metrics import StepMetrics
from p2o.objectives.engine_correction import EngineCorrection
from p2o.objectives.kl import KLPenalty
from p2o.objectives.policy_loss import PolicyLoss
from p2o.policy.causal import Backend, CausalPolicy
from p2o.policy.models import warn_of_rounding
from p2o.policy.packing import Packed, Packer, nothing
from p2o.policy.schedulers import go_on, schedule_length
from p2o.policy.sharding import FlatShardedStrategy, FullyShardedStrategy, is_sharded
from p2o.running.distributed import gather, maximum
from p2o.running.frozen import FROZEN, check_frozen, frozen_checksum, frozen_names
from p2o.running.loggers import log_once
from p2o_callbacks.collapse import gradient_norm

EVALUATED = (
    *("val/accuracy", "val/hard_accuracy", "val/reward", "val/failed", "val/updates"),
    *("ledger/rollouts", "ledger/tokens", "ledger/flops", "ledger/seconds"),
)
"""What an evaluation on held-out prompts logs."""
UPDATED = (
    *("train/loss", "train/approx_kl", "train/entropy", "train/kl", "train/grad_norm"),
    *("train/staleness", "train/engine_kl", "train/engine_ratio_max"),
)
"""What an update logs, beside what the loss measures."""


class P2OModule(LightningModule):
    """Trains a causal language model with a policy gradient.

    Plain GRPO is this module without any callback.

    Args:
        model: A transformers causal language model.
        policy_loss: The loss.
        optimizer: Makes the optimiser from parameters.
        scheduler: Makes a learning-rate scheduler, stepped every update, from the optimiser and the
            number of updates or, under a `RolloutBudget`, of rollouts; None keeps the rate.
        temperature: At which training responses are sampled.
        kl: What divergence from the reference policy costs, for batches that have its
            log-probabilities.
        entropy_coefficient: Weight of the policy's entropy, which the loss then rewards.
        chunk_tokens: Response tokens whose logits are held at a time.
        pass_tokens: The most tokens in one pass through the layers, padding included; a longer
            response has a pass of its own. A micro-batch of several passes holds what the backward
            pass needs of one at a time, sharded or not.
        correction: Weights for tokens to which engine and trainer give different probabilities;
            None for none.
        compile_backend: Of ``torch.compile`` for the layers in training, such as ``inductor``; None
            leaves them as they are. Sampling is not touched.

    Attributes:
        pass_loss: The loss, with what goes into it beside the policy's.
        frozen: Checksum of the weights that are not trained; None where all are.
    """

    def __init__(
        self,
        model: nn.Module,
        policy_loss: PolicyLoss,
        optimizer: Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer],
        scheduler: Callable[..., torch.optim.lr_scheduler.LRScheduler] | None = None,
        temperature: float = 1.0,
        kl: KLPenalty | None = None,
        entropy_coefficient: float = 0.0,
        chunk_tokens: Count = 4096,
        pass_tokens: Count = 2048,
        compile_backend: Backend | None = None,
        correction: EngineCorrection | None = None,
    ) -> None:
        super().__init__()
        self.policy: Any = CausalPolicy(
            model,
            temperature,
            chunk_tokens,
            entropy_gradient=entropy_coefficient != 0,
            compile_backend=compile_backend,
        ).train()
        self.frozen, self._left_out = frozen_checksum(model), frozen_names(self)
        # Checkpoints leave them out.
        self.strict_loading = not self._left_out
        self.pass_loss = PassLoss(policy_loss, kl or KLPenalty(), entropy_coefficient, correction)
        self._metrics = StepMetrics()
        self._scheduled_step = 0
        self.make_optimizer, self.make_scheduler = optimizer, scheduler
        self.pass_tokens = pass_tokens

    def configure_model(self) -> None:
        """Shard the policy, once, where the strategy is to."""
        self._keep_streams_exact()
        strategy = self.trainer.strategy
        shards = isinstance(strategy, FullyShardedStrategy | FlatShardedStrategy)
        if shards and not is_sharded(self.policy):
            self.policy.check_model()
            self.packer()
            self.policy = strategy.shard(self.policy)

    def _keep_streams_exact(self) -> None:
        """Log-probabilities and accuracies of a batch stay as they were computed.

        Lightning would round all numbers of a batch to the type of the weights.
        """
        plugin: Any = self.trainer.precision_plugin
        if plugin.precision == "bf16-true":
            plugin.convert_input = lambda data: data

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Leave out the weights that are not trained, and say which they were."""
        if self.frozen is not None:
            checkpoint[FROZEN] = self.frozen
            for name in self._left_out & checkpoint["state_dict"].keys():
                del checkpoint["state_dict"][name]

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Look at what is taken over; a run that ended within an epoch may go on there."""
        check_frozen("the checkpoint", checkpoint.get(FROZEN), self.frozen)
        for callback in getattr(self._trainer, "callbacks", ()):
            if isinstance(callback, EarlyEnd):
                callback.open_again(self._trainer, checkpoint)

    def on_fit_start(self) -> None:
        """Make sure that log-probabilities are the model's own."""
        if not is_sharded(self.policy):
            self.policy.check_model()

    def packer(self) -> Packer:
        """How samples are put into rows for the policy."""
        return self.policy.packer(self.pass_tokens)

    def training_step(self, batch: MiniBatch, batch_index: int) -> Tensor:
        """The loss of one micro-batch, scaled so that gradients add up to those of the whole step.

        Lightning divides by the number of accumulated batches and averages over ranks; the loss is
        already divided by the tokens of the whole step, so both are undone.

        Of several passes one at a time is held: each but the last has its backward pass here. What
        is returned has the value of all and the gradient of the last, which is left to Lightning.
        """
        accumulated = self.trainer.accumulate_grad_batches
        if batch_index % accumulated == 0:
            # Not the module's: its parameters may be whole ones that were put together from shards.
            for optimizer in self.trainer.optimizers:
                optimizer.zero_grad()
        *earlier, last = batch.passes_apart()
        scale = accumulated * self.trainer.world_size
        value = torch.zeros((), device=self.device)
        for part in earlier:
            loss = self._loss(part, len(batch.passes)) * scale
            # Lightning has opened the context of a forward pass, in which nothing goes backward.
            with torch.autocast(self.device.type, enabled=False):
                self.trainer.strategy.backward(loss / accumulated, None)
            value = value + loss.detach()
        return self._loss(last, len(batch.passes)) * scale + value

    def optimizer_zero_grad(self, epoch: int, batch_idx: int, optimizer: Any) -> None:
        """Do nothing: gradients are set to zero before the first backward pass of an update.

        Lightning asks for it before the last one of a training step.
        """

    def _loss(self, batch: MiniBatch, passes: int) -> Tensor:
        """The loss of one pass, a share of the whole step's.

        Args:
            batch: What goes through the network in one pass.
            passes: Of the micro-batch that it is a part of.
        """
        [packed] = batch.passes
        log_probs, entropies = (values[: len(batch.sequences)] for values in self.policy(packed))
        updates = self.trainer.global_step
        loss, shares, highest = self.pass_loss(batch, log_probs, entropies, updates)
        parts = self.trainer.accumulate_grad_batches * self.trainer.world_size * passes
        # The loss is a share of a whole already: its parts are added up.
        self._metrics.add({**shares, "loss": (loss, 1 / parts)})
        self._metrics.add_highest(highest)
        return loss

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Log the step's means and maxima, and the gradient's norm before clipping."""
        means = {
            "grad_norm": self._gradient_norm(),
            **self._metrics.means(partial(self._over_ranks, "sum")),
            **self._metrics.highest(partial(self._over_ranks, "max")),
        }
        log_once(self.trainer, {f"train/{name}": float(value) for name, value in means.items()})

    def _over_ranks(self, operation: str, values: Tensor) -> Tensor:
        reduced: Any = self.trainer.strategy.reduce(values, reduce_op=operation)
        return reduced

    def lr_scheduler_step(self, scheduler: Any, metric: Any | None) -> None:
        """Move the schedule on, by updates or by rollouts, when the optimiser has stepped."""
        if self.trainer.global_step > self._scheduled_step:
            self._scheduled_step = self.trainer.global_step
            go_on(scheduler, self.trainer)

    def on_train_start(self) -> None:
        """Take note of where the schedule stands: a resumed one is where the optimiser is."""
        self._scheduled_step = self.trainer.global_step

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip as Lightning does, but of flat shards the norm of the whole."""
        by_value = gradient_clip_algorithm == GradClipAlgorithmType.VALUE
        if by_value or not isinstance(self.policy, FullyShardedDataParallel):
            self.clip_gradients(optimizer, gradient_clip_val, gradient_clip_algorithm)
        elif gradient_clip_val:
            # In float64, as a float of Python is: rounded, it would scale gradients otherwise.
            norm = torch.tensor(self._gradient_norm(), dtype=torch.float64, device=self.device)
            clip_grads_with_norm_(self.parameters(), gradient_clip_val, norm)

    def _gradient_norm(self) -> float:
        norm = gradient_norm(self)
        if isinstance(self.policy, FullyShardedDataParallel):
            norm = math.sqrt(sum(part**2 for part in gather(norm)))
        return norm

    def validation_step(self, batch: EvaluationBatch, batch_index: int) -> None:
        """Log what an evaluation has found on held-out prompts."""
        for name, (value, prompts) in batch.metrics().items():
            self.log(name, value, batch_size=prompts)
        self.log("val/updates", float(self.trainer.global_step), batch_size=1)

    def configure_optimizers(self) -> Any:
        """Optimiser, and a scheduler that steps with it."""
        # With names, by which an optimiser can tell embeddings from hidden layers.
        trained: Any = [(name, p) for name, p in self.named_parameters() if p.requires_grad]
        warn_of_rounding(parameter for _, parameter in trained)
        optimizer = self.make_optimizer(trained)
        if self.make_scheduler is None:
            return optimizer
        length = schedule_length(self.trainer)
        scheduler = self.make_scheduler(optimizer, num_training_steps=length)
        return [optimizer], [{"scheduler": scheduler, "interval": "step"}]

    def score(self, passes: Sequence[Packed], policy: nn.Module | None = None) -> list[Tensor]:
        """Log-probabilities `[M]` of each pass's learned tokens, on the CPU.

        Args:
            passes: Packed samples.
            policy: Whose; the one being trained when left out.
        """
        return [log_probs for log_probs, _ in self._scored(passes, policy)]

    def score_most(self, passes: Sequence[Packed], most: int) -> list[tuple[Tensor, Tensor]]:
        """What is most probable at the learned tokens of each pass, on the CPU.

        Args:
            passes: Packed samples.
            most: How many tokens at each place.

        Returns:
            Log-probabilities and ids, both `[M, most]`.
        """
        return self._scored(passes, None, most)

    @torch.no_grad()
    def _scored(
        self, passes: Sequence[Packed], policy: nn.Module | None, *most: int
    ) -> list[tuple[Tensor, Tensor]]:
        """Passes without gradient.

        Collective: every rank goes through the network as often as the one with the most passes.
        """
        scorer: Any = self.policy if policy is None else policy.to(self.device)
        training = scorer.training
        scorer.eval()
        scored: list[tuple[Tensor, Tensor]] = []
        for index in range(maximum(len(passes))):
            packed = passes[index] if index < len(passes) else nothing()
            # The same precision as in training, or the ratio of an unchanged policy is not one.
            with self._precision():
                first, second = scorer(packed.to(self.device), *most)
            scored.append((first.cpu(), second.cpu()))
        scorer.train(training)
        return scored[: len(passes)]

    def _precision(self) -> AbstractContextManager[None]:
        if self._trainer is None:
            return nullcontext()
        return self.trainer.precision_plugin.forward_context()
