"""What a run does, in numbers: everything that an estimate follows from."""

from dataclasses import dataclass, field
from typing import Literal

from p2o.learning.sizes import BatchSizes
from p2o.planning.devices import Device
from p2o.planning.shape import ModelShape


@dataclass(frozen=True)
class TrainingSetup:
    """How the weights are kept and trained.

    Attributes:
        trained: Parameters that are trained.
        trained_bytes: Of one trained parameter, and of its gradient.
        frozen_bytes: Of all parameters that are not trained.
        optimizer_bytes: The optimiser's state for one trained parameter.
        master_bytes: A copy of higher precision that the optimiser keeps of a trained parameter.
            p2o has none: under autocast the parameters are the float32 ones.
        scratch_bytes: What an update needs for a trained parameter and gives back.
        compute: Torch type of matrix products.
        compute_bytes: Of one number of it.
        stream_bytes: Of one number of the residual stream.
        autocast: Whether weights are cast for each pass, which keeps copies of them.
        checkpointing: Whether layers are computed again in the backward pass.
        attention: Transformers' ``attn_implementation``.
        ranks: Processes with a device each.
        sharding: Ranks that share one copy of weights, gradients and optimiser state.
        bucket_copies: Whether data parallelism keeps a second copy of gradients to send.
        frozen_copies: Further whole copies of the weights on each device.
    """

    trained: int
    trained_bytes: float
    frozen_bytes: float = 0.0
    optimizer_bytes: float = 8.0
    master_bytes: float = 0.0
    scratch_bytes: float = 0.0
    compute: str = "float32"
    compute_bytes: float = 4.0
    stream_bytes: float = 4.0
    autocast: bool = False
    checkpointing: bool = False
    attention: str = "sdpa"
    ranks: int = 1
    sharding: int = 1
    bucket_copies: bool = True
    frozen_copies: int = 0

    @property
    def weight_bytes(self) -> float:
        """Of all parameters."""
        return self.frozen_bytes + self.trained * self.trained_bytes

    @property
    def checkpoint_bytes(self) -> float:
        """Of one checkpoint, in one file or in shards: what is trained and its optimiser state."""
        return self.trained * (self.trained_bytes + self.optimizer_bytes + self.master_bytes)


@dataclass(frozen=True)
class Batch:
    """How much goes through the network.

    Attributes:
        sizes: Prompts and rollouts of a batch and of an optimiser step.
        prompt_tokens: The longest prompt.
        new_tokens: The longest response.
        mean_prompt_tokens: The mean prompt.
        mean_new_tokens: The mean response.
        chunk_tokens: Response tokens whose logits are held at a time.
        pass_tokens: The most tokens in one pass through the layers.
        trained_share: Of the rollouts, those that carry a gradient.
        scoring_passes: Forward passes without gradient that a trained row takes, on average.
    """

    sizes: BatchSizes
    prompt_tokens: int
    new_tokens: int
    mean_prompt_tokens: float
    mean_new_tokens: float
    chunk_tokens: int = 4096
    pass_tokens: int = 8192
    trained_share: float = 1.0
    scoring_passes: float = 0.0

    @property
    def longest(self) -> int:
        """Tokens of the longest row."""
        return self.prompt_tokens + self.new_tokens

    @property
    def pass_rows(self) -> int:
        """Rows of the longest kind in one pass."""
        return max(1, self.pass_tokens // self.longest)

    @property
    def rollouts(self) -> int:
        """Of a batch."""
        return self.sizes.batch * self.sizes.group_size

    @property
    def steps(self) -> int:
        """Optimiser steps of a batch."""
        return self.sizes.mini_batches(self.sizes.batch)

    def micro_rows(self, ranks: int) -> int:
        """Rows of the largest micro-batch on one rank."""
        rows = -(-self.sizes.mini_batch * self.sizes.group_size // ranks)
        return -(-rows // self.sizes.micro_batches)


@dataclass(frozen=True)
class Engine:
    """What samples.

    Attributes:
        kind: ``hf`` shares the trainer's weights, or has a whole copy where these are in shards;
            ``vllm`` has its own on the trainer's device; ``vllm_server`` runs on devices of its
            own.
        compute: Torch type of its matrix products.
        number_bytes: Of a weight or cached number.
        max_rows: Sequences it works on at once.
        memory_share: Of a device's memory that it takes, with vLLM.
        sleeps: Whether it gives its memory back while the policy is trained.
        servers: Of vLLM; each rank has an engine of its own otherwise.
        devices_per_server: Devices that each server's weights are split over.
        step_seconds: What a token step costs besides arithmetic and memory.
    """

    kind: Literal["hf", "vllm", "vllm_server"] = "hf"
    compute: str = "float32"
    number_bytes: float = 4.0
    max_rows: int = 256
    memory_share: float = 0.4
    sleeps: bool = True
    servers: int = 0
    devices_per_server: int = 1
    step_seconds: float = 0.0


@dataclass(frozen=True)
class Draws:
    """Rollouts besides those that are trained on.

    Attributes:
        number: In all.
        at_once: In one engine call.
        new_tokens: The longest response.
        mean_new_tokens: The mean response.
    """

    number: int = 0
    at_once: int = 1
    new_tokens: int = 0
    mean_new_tokens: float = 0.0


@dataclass(frozen=True)
class Schedule:
    """How often things are done.

    Attributes:
        prompts: Of an epoch.
        epochs: Of the run.
        held_out: One evaluation; there is one before training and one each epoch.
        search: The metric calls of one template search.
        searches: Template searches of the run.
        checkpoints: On the disk when the run ends.
    """

    prompts: int
    epochs: int = 1
    held_out: Draws = field(default_factory=Draws)
    search: Draws = field(default_factory=Draws)
    searches: int = 0
    checkpoints: int = 1


@dataclass(frozen=True)
class Efficiency:
    """How much of a device's peak is reached. Assumed; measure yours and set it.

    Attributes:
        flops: Of the peak rate, in training and prefill. 0.54 is among the best that were
            published for dense models on A100 (https://arxiv.org/abs/2205.05198), 0.46 on TPUs
            (https://arxiv.org/abs/2204.02311).
        bandwidth: Of memory and links.
    """

    flops: float = 0.4
    bandwidth: float = 0.6


@dataclass(frozen=True)
class Setup:
    """Everything that an estimate follows from."""

    shape: ModelShape
    training: TrainingSetup
    batch: Batch
    engine: Engine
    schedule: Schedule
    device: Device
    efficiency: Efficiency = field(default_factory=Efficiency)

    @property
    def micro_rows(self) -> int:
        """Rows of the largest micro-batch on one rank."""
        return self.batch.micro_rows(self.training.ranks)

    @property
    def held_rows(self) -> int:
        """Rows of the longest kind in one pass of a micro-batch; one pass is held at a time."""
        return min(self.micro_rows, self.batch.pass_rows)

    @property
    def mean_rows(self) -> int:
        """Rows of mean length in one pass of a micro-batch."""
        mean = self.batch.mean_prompt_tokens + self.batch.mean_new_tokens
        return max(1, min(self.micro_rows, int(self.batch.pass_tokens / mean)))

    @property
    def passes(self) -> int:
        """Of an optimiser step on one rank, with rows of mean length."""
        return self.batch.sizes.micro_batches * -(-self.micro_rows // self.mean_rows)

    @property
    def gathered_bytes(self) -> float:
        """Of all weights, put together from shards.

        FSDP's own mixed precision casts them before they are sent; autocast afterwards.
        """
        kept = self.training.weight_bytes
        cast = self.shape.parameters * self.training.compute_bytes
        return kept if self.training.autocast else min(kept, cast)

    @property
    def replicas(self) -> int:
        """Engines among which rollouts are shared out."""
        return self.engine.servers if self.engine.kind == "vllm_server" else self.training.ranks

    @property
    def devices(self) -> int:
        """That the run occupies, servers of the engine included."""
        return self.training.ranks + self.engine.servers * self.engine.devices_per_server
