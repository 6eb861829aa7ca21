"""How long each step takes, by phase, and how much work is done in a second of it."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import nn

from p2o.accounting.ledger import Ledger
from p2o.running.loggers import log_once
from p2o_callbacks.updates import has_updated

PHASES = {"scoring": "scoring", "evolution": "search", "evaluation": "evaluation"}
"""Phases of the ledger that are no training, and what they are called here."""

Peak = Callable[[str, str], float | None]
"""Operations a second of a device in a torch type, by both names; None where it is not known."""


@dataclass(frozen=True)
class Spent:
    """What a run has spent by some moment: seconds of rank 0, tokens of all ranks.

    Attributes:
        now: The time.
        seconds: By phase: ``rollouts`` and ``update``, and those of `PHASES`.
        sampled: Tokens of training rollouts.
        trained: Tokens that went through the network with gradient.
        scored: Tokens that went through it without.
    """

    now: float
    seconds: dict[str, float]
    sampled: float
    trained: float
    scored: float


@dataclass(frozen=True)
class Work:
    """What a token costs, and what the devices could do.

    Attributes:
        forward: Operations a token without gradient.
        training: Operations a token with gradient.
        peak: Operations a second of all devices together.
    """

    forward: float
    training: float
    peak: float


class Throughput(Callback):
    """Logs the seconds of each step by phase, tokens a second, and model FLOP utilisation.

    Searches and evaluations count to the step that follows them. Place it behind `WholeUpdates`,
    which counts the tokens of an update. Collective.

    Args:
        ledger: Of the run.
        peak: What a device can do.
    """

    def __init__(self, ledger: Ledger, peak: Peak) -> None:
        self.ledger, self.peak = ledger, peak
        self._before: Spent | None = None
        self._work: Work | None = None

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Look at the policy, of which a rank has a part alone once it is sharded."""
        self._work = self._work or work_of(trainer, pl_module, self.peak)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin to count."""
        self._before = self._spent(trainer)

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Log a step when it is whole."""
        if self._before is None or not has_updated(trainer):
            return
        spent = self._spent(trainer)
        log_once(trainer, step_metrics(self._before, spent, self._work))
        self._before = spent

    def _spent(self, trainer: Trainer) -> Spent:
        parts: Any = trainer
        counts, rollouts = self.ledger.state_dict(), parts.datamodule.loader.rollout_seconds
        seconds = {name: counts[phase]["seconds"] for phase, name in PHASES.items()}
        seconds |= {"rollouts": rollouts, "update": counts["train"]["seconds"] - rollouts}
        return Spent(
            time.monotonic(),
            seconds,
            counts["train"]["generated_tokens"],
            counts["train"]["trained_tokens"],
            counts["scoring"]["scored_tokens"],
        )


def step_metrics(before: Spent, after: Spent, work: Work | None) -> dict[str, float]:
    """What a step took, and how fast that was.

    The utilisation is that of the passes for training and scoring: sampling is bound by memory.

    Args:
        before: At its beginning.
        after: At its end.
        work: None where the devices are not known.
    """
    # What is left over is of nothing but rounding.
    took = {name: max(0.0, after.seconds[name] - before.seconds[name]) for name in after.seconds}
    metrics = {f"seconds/{name}": value for name, value in took.items()}
    metrics["seconds/step"] = after.now - before.now
    sampled, trained = after.sampled - before.sampled, after.trained - before.trained
    for name, tokens, phase in (("sampled", sampled, "rollouts"), ("trained", trained, "update")):
        if tokens and took[phase]:
            metrics[f"throughput/{name}_tokens"] = tokens / took[phase]
    passes = took["update"] + took["scoring"]
    if work is not None and trained and passes:
        done = work.training * trained + work.forward * (after.scored - before.scored)
        metrics["throughput/mfu"] = done / (passes * work.peak)
    return metrics


def work_of(trainer: Any, module: Any, peak: Peak) -> Work | None:
    """What a token costs on the devices of a trainer; None where these are not known.

    Args:
        trainer: Lightning's.
        module: Ours, whose policy is whole.
        peak: What a device can do.
    """
    device = trainer.strategy.root_device
    if device.type != "cuda":
        return None
    of_one = peak(torch.cuda.get_device_name(device), _compute_type(trainer, module))
    if of_one is None:
        return None
    forward, training = flops_a_token(module.policy.model)
    return Work(forward, training, of_one * trainer.world_size)


def flops_a_token(model: nn.Module) -> tuple[float, float]:
    """Operations of a forward pass, and of forward and backward pass, on one token.

    ``2 N`` and ``6 N`` for N parameters in matrices (PaLM, arXiv 2204.02311, appendix B, without
    its term for attention); frozen ones need no gradient of their own, so that ``4 N`` are left.

    Args:
        model: A transformers model. Its input embedding is no product, unless it is the head too.
    """
    parts: Any = model
    given, head = parts.get_input_embeddings(), parts.get_output_embeddings()
    looked_up = None if head is not None and head.weight is given.weight else given.weight
    counted = [each for each in model.parameters() if each is not looked_up]
    whole = float(sum(each.numel() for each in counted))
    trained = float(sum(each.numel() for each in counted if each.requires_grad))
    return 2 * whole, 4 * whole + 2 * trained


def _compute_type(trainer: Any, module: Any) -> str:
    """Name of the torch type that matrix products are made in."""
    precision = str(trainer.precision)
    if precision.startswith(("bf16", "16")):
        return "bfloat16" if precision.startswith("bf16") else "float16"
    kind = getattr(trainer.strategy, "compute_dtype", None) or next(module.parameters()).dtype
    return str(kind).removeprefix("torch.")
