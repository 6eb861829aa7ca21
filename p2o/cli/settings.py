"""What the values of a configuration have to fit where no single target takes them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Le

from p2o.configuration.sections import Makes, Part, Section, Takes
from p2o.constraints import Count, Decay, NotNegative, Share, Size, SomeShare, Text, Whole

Seed = Annotated[int, Ge(0), Le(2**32 - 1)]
Model = Annotated[Mapping, Takes("p2o.policy.models.load_policy")]
Renderer = Annotated[Mapping, Takes("p2o.rollout.rendering.ChatRenderer", frozenset({"tokenizer"}))]
Guard = Annotated[Mapping, Takes("p2o.verifiers.GuardedVerifier", frozenset({"verifier"}))]
Module = Annotated[
    Mapping,
    Takes(
        "p2o.learning.module.P2OModule",
        frozenset(
            {"model", "policy_loss", "optimizer", "scheduler", "temperature", "kl"}
            | {"entropy_coefficient", "correction"}
        ),
    ),
]
Drawn = Annotated[Part, Makes("p2o.rollout.engine.SamplingParameters")]
Rate = Annotated[float, Le(1)]
"""A learning rate; optimisers say themselves what is too low."""
Bonus = Annotated[float, Ge(-1), Le(1)]
"""On the entropy; papers take thousandths."""
Shrinking = Annotated[float, Ge(0), Le(10)]
"""A weight decay, which is multiplied by the rate."""
Efficiency = Annotated[float, Ge(0.001), Le(1)]
AtLeastOne = Annotated[float, Ge(1)]


@dataclass(frozen=True)
class Data(Section):
    """``data``."""

    source: Annotated[Part, Makes("p2o.data.sources.PromptSource")]
    contamination: Annotated[Part, Makes("p2o.data.contamination.Contamination")] | None
    group_size: Size
    batch: Size
    mini_batch: Size
    held_out_samples: Size
    max_prompt_tokens: Count
    overlong: Literal["drop", "refuse"]
    max_unusable_golds: Share


@dataclass(frozen=True)
class Algorithm(Section):
    """``algorithm``."""

    advantages: Part
    loss: Annotated[Part, Makes("p2o.objectives.policy_loss.PolicyLoss")]
    kl: Annotated[Part, Makes("p2o.objectives.kl.KLPenalty")]
    entropy_coefficient: Bonus
    overlong: Annotated[Part, Makes("p2o.objectives.overlong.Overlong")]
    sampling_rounds: Size


@dataclass(frozen=True)
class Evolution(Section):
    """``evolution``, where there is one."""

    callback: Annotated[Part, Makes("lightning.pytorch.callbacks.Callback")]
    evolver: Annotated[Part, Makes("p2o_callbacks.Evolver")]


@dataclass(frozen=True)
class Kept(Section):
    """``records``."""

    rollouts: Literal["all", "sampled", "none"]
    reflection: Literal["full", "none"]


@dataclass(frozen=True)
class Sampling(Section):
    """``sampling``."""

    train: Drawn
    evolution: Drawn
    held_out: Drawn


@dataclass(frozen=True)
class Planning(Section):
    """``planning``."""

    device: str | None
    prompts: AtLeastOne | None
    mean_prompt_tokens: AtLeastOne | None
    mean_new_tokens: AtLeastOne | None
    trained_share: Share | None
    templated_share: Share | None
    flops_efficiency: Efficiency | None
    bandwidth_efficiency: Efficiency | None
    devices_per_server: AtLeastOne | None


Strategy = Annotated[
    Literal["auto", "ddp", "ddp_find_unused_parameters_true"], "(or choose trainer=fsdp2)"
]
"""Those that start a program for each rank."""
Precision = Literal[
    "64",
    "32",
    "16",
    "64-true",
    "32-true",
    "bf16",
    "bf16-true",
    "bf16-mixed",
    "16-mixed",
    64,
    32,
    16,
]


@dataclass(frozen=True)
class TrainerRanges(Section):
    """Arguments of Lightning's trainer of which not every value makes sense."""

    max_epochs: Annotated[int, Ge(-1)] | None
    min_epochs: Count | None
    max_steps: Annotated[int, Ge(-1)]
    min_steps: Count | None
    accumulate_grad_batches: Count
    gradient_clip_val: NotNegative | None
    val_check_interval: Count | SomeShare | None
    check_val_every_n_epoch: Count | None
    log_every_n_steps: Count
    num_sanity_val_steps: Annotated[int, Ge(-1)]
    limit_train_batches: Count | SomeShare | None
    # The policy that is kept is chosen by evaluations.
    limit_val_batches: Count | SomeShare | None
    num_nodes: Count
    # Each epoch is one pass over prompts that this loader alone hands out.
    overfit_batches: Literal[0]
    reload_dataloaders_every_n_epochs: Literal[0]
    use_distributed_sampler: Literal[False]
    # Batches of rollouts are made where Lightning evaluates, and trained on later.
    inference_mode: Literal[False]
    # These leave out checkpoints, loggers and the ends of epochs, on which the method stands.
    fast_dev_run: Literal[False]
    strategy: Strategy
    # Weights would be trained in 16 bits, of which small updates and small gradients are nothing.
    precision: Precision | None
    barebones: Literal[False]


Trainer = Annotated[Part, Takes(TrainerRanges), Makes("lightning.pytorch.Trainer")]


@dataclass(frozen=True)
class OptimizerRanges(Section):
    """Arguments of optimisers that take numbers with which weights fly apart."""

    lr: Rate
    adamw_lr: Rate
    momentum: Decay
    dampening: Share
    eps: Decay
    weight_decay: Shrinking
    # It would teach what is wrong.
    maximize: Literal[False]
    # Weights are changed in place.
    differentiable: Literal[False]


Optimizer = Annotated[Part, Takes(OptimizerRanges)]


@dataclass(frozen=True)
class CallbackRanges(Section):
    """Arguments of Lightning's callbacks that take numbers which mean nothing."""

    patience: Whole


Watching = Annotated[Part, Takes(CallbackRanges)]


@dataclass(frozen=True)
class TrainSettings(Section):
    """The configuration of ``p2o-train``."""

    model: Model
    data: Annotated[Mapping, Takes(Data)]
    rollout: Annotated[Part, Makes("p2o.rollout.engine.RolloutEngine")]
    environment: Annotated[Part, Makes("p2o.rollout.environment.Environment")]
    verifier: Annotated[Part, Makes("p2o.verifiers.Verifier")]
    algorithm: Annotated[Mapping, Takes(Algorithm)]
    distillation: Annotated[Part, Makes("p2o.distillation.DistillationStrategy")]
    baseline: Annotated[Part, Makes("p2o.learning.baseline.Baseline")]
    allocation: Annotated[Part, Makes("p2o.learning.allocation.Allocation")]
    reference: Annotated[Part, Makes("torch.nn.Module")] | None
    teacher: Annotated[Part, Makes("p2o.policy.moving_average.MovingAverage")] | None
    correction: Annotated[Part, Makes("p2o.objectives.engine_correction.EngineCorrection")] | None
    streams: Mapping[str, Part | None]
    mining: Annotated[Part, Makes("lightning.pytorch.callbacks.Callback")]
    evolution: Annotated[Mapping, Takes(Evolution)] | None
    reflection: Annotated[Part, Makes("p2o.reflection.base.Reflection")]
    assignment: Annotated[Part, Makes("p2o.hints.assignment.Assigner")]
    optimizer: Optimizer
    scheduler: Part | None
    trainer: Trainer
    logger: Mapping[str, Part | None]
    seed: Seed
    data_root: Text | None
    ckpt_path: str | None
    resume: Literal["auto"] | None
    drop_failed_templated: bool
    held_out_hint: Literal["best"] | None
    save_policy: Literal["merged", "adapter"] | None
    sampling: Annotated[Mapping, Takes(Sampling)]
    records: Annotated[Mapping, Takes(Kept)]
    renderer: Renderer
    verifier_guard: Guard
    module: Module
    plan: bool
    planning: Annotated[Mapping, Takes(Planning)]
    checkpoint: Annotated[Part, Makes("lightning.pytorch.callbacks.Checkpoint")]
    callbacks: Mapping[str, Watching | None]
    resume_changed: bool = False


@dataclass(frozen=True)
class Benchmark(Section):
    """One of ``benchmarks``."""

    table: Part
    samples: Size
    temperature: NotNegative
    top_p: SomeShare = 1.0
    top_k: Whole = 0
    stop_token_ids: tuple[Whole, ...] = ()
    drops_unusable: bool = False


@dataclass(frozen=True)
class EvalSettings(Section):
    """The configuration of ``p2o-eval``."""

    model: Model
    rollout: Annotated[Part, Makes("p2o.rollout.engine.RolloutEngine")]
    environment: Annotated[Part, Makes("p2o.rollout.environment.Environment")]
    verifier: Annotated[Part, Makes("p2o.verifiers.Verifier")]
    benchmarks: Mapping[str, Annotated[Mapping, Takes(Benchmark)]]
    run: str | None
    checkpoint: str
    template: str | None
    template_mode: Literal["best", "majority", "assigned"]
    data_root: Text | None
    limit: Count | None
    chunk: Count
    seed: Seed
    max_prompt_tokens: Count
    max_new_tokens: Count
    rescore: str | None
    renderer: Renderer
    verifier_guard: Guard
