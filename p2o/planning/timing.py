"""Time on paper: arithmetic at an assumed share of the peak, memory traffic, links.

N is the number of parameters in matrices, W their bytes; other letters as in `memory`.
"""

from dataclasses import dataclass
from typing import Literal

from p2o.planning.memory import cache_pool, sampled_rows
from p2o.planning.setup import Draws, Setup
from p2o.planning.shape import ModelShape
from p2o.rollout.one_token import ROOM


@dataclass(frozen=True)
class TimedPhase:
    """Something that takes time.

    Attributes:
        name: For tables.
        seconds: Of one optimiser step, averaged over a batch; or of an epoch's gap.
        per: Which of the two.
    """

    name: str
    seconds: float
    per: Literal["step", "epoch"] = "step"


@dataclass(frozen=True)
class Flops:
    """Operations of one forward pass over one row.

    Attributes:
        matrices: ``2 · N · L`` without the head (https://arxiv.org/abs/2001.08361, section 2.1).
        attention: ``4 · layers · q · L²``, half of it with a causal kernel.
        head: ``2 · V · h · T``: logits are computed where there is a response.
    """

    matrices: float
    attention: float
    head: float

    @property
    def forward(self) -> float:
        """All of them."""
        return self.matrices + self.attention + self.head


def forward_flops(shape: ModelShape, prompt: float, response: float, causal: bool) -> Flops:
    """Operations of one forward pass over a row.

    Args:
        shape: Of the model.
        prompt: Tokens of the prompt.
        response: Tokens of the response.
        causal: Whether the attention kernel leaves out what lies in the future. With a mask, which
            sdpa is given for rows of different length, it computes everything.
    """
    length = prompt + response
    return Flops(
        matrices=2 * shape.matrices * length,
        attention=(2 if causal else 4) * shape.layers * shape.queries * length**2,
        head=2 * shape.head * response,
    )


def training_flops(flops: Flops, trained_share: float, checkpointing: bool, chunked: bool) -> float:
    """Operations of forward and backward pass over a row.

    ``(2 + 2 + 2) · N`` a token: forward, gradient of inputs, gradient of weights. Frozen weights
    need no gradient; checkpointing adds another forward pass, 8N in all, and so does the head for
    its own part when its logits come in several chunks. Attention has no weights: its backward pass
    costs twice its forward one.

    Args:
        flops: Of the forward pass.
        trained_share: Of the parameters, those that are trained.
        checkpointing: Whether layers are computed again.
        chunked: Whether logits are.
    """
    again = (flops.matrices + flops.attention) * checkpointing + flops.head * chunked
    gradients = (flops.matrices + flops.head) * (1 + trained_share) + 2 * flops.attention
    return flops.forward + again + gradients


def phases(setup: Setup) -> tuple[TimedPhase, ...]:
    """Everything that takes time."""
    batch, schedule, steps = setup.batch, setup.schedule, setup.batch.steps
    prefill, decode = sampling_seconds(
        setup, Draws(batch.rollouts, batch.rollouts, batch.new_tokens, batch.mean_new_tokens)
    )
    held_out, search = schedule.held_out, schedule.search
    return (
        TimedPhase("prompts read", prefill / steps),
        TimedPhase("tokens sampled", decode / steps),
        TimedPhase("weights to the engine", _push_seconds(setup) / steps),
        TimedPhase("rows scored", _scoring_seconds(setup) / steps),
        TimedPhase("forward and backward", _training_seconds(setup)),
        TimedPhase("update", _update_seconds(setup)),
        TimedPhase("held-out evaluation", sum(sampling_seconds(setup, held_out)), "epoch"),
        TimedPhase("template search", sum(sampling_seconds(setup, search)), "epoch"),
    )


def sampling_seconds(setup: Setup, draws: Draws) -> tuple[float, float]:
    """Prefill and decode of rollouts.

    A token step reads all weights once and each sequence's cache, so that it is bound by memory
    until many sequences share it: ``(steps · W + cache read) / bandwidth``, or the arithmetic if
    that takes longer, and a fixed cost a step.

    Finished rows are replaced: `HFEngine` has ``max_rows`` at work, vLLM what its cache holds.
    """
    if not draws.number:
        return 0.0, 0.0
    calls = draws.number / draws.at_once
    engine, shape, batch, device = setup.engine, setup.shape, setup.batch, setup.device
    sequences = -(-draws.at_once // setup.replicas)
    rate = device.rate(engine.compute) * setup.efficiency.flops * engine.devices_per_server
    bandwidth = device.bandwidth * setup.efficiency.bandwidth * engine.devices_per_server
    prompt, cached = batch.mean_prompt_tokens, shape.cache_bytes(engine.number_bytes)
    first = forward_flops(shape, prompt, 0, causal=True).forward + 2 * shape.head
    prefill = sequences * first / rate
    weights = (shape.matrices + shape.head) * engine.number_bytes
    shared = engine.kind == "hf"
    room = sampled_rows(setup) if shared else concurrency(setup, draws.mean_new_tokens)
    tokens = sequences * draws.mean_new_tokens
    steps = max(draws.new_tokens, tokens / min(sequences, room))
    context = prompt + draws.mean_new_tokens / 2
    passes = _cache_passes(shape, setup.training.attention) if shared else 1
    traffic = tokens * context * cached * passes
    arithmetic = tokens * (
        2 * (shape.matrices + shape.head) + 4 * shape.layers * shape.queries * context
    )
    decode = max((steps * weights + traffic) / bandwidth, arithmetic / rate)
    decode += steps * engine.step_seconds
    return calls * prefill, calls * decode


def _cache_passes(shape: ModelShape, attention: str) -> float:
    """How often `HFEngine` passes over the cache in a token step.

    Attention reads it, and every `ROOM` steps it is copied, read and written. Where g query heads
    share a key, eager attention repeats it for all of them, which writes and reads it g times.
    """
    groups = shape.queries / shape.keys
    repeated = 2 * groups if attention == "eager" and groups > 1 else 0
    return 1 + 2 / ROOM + repeated


def concurrency(setup: Setup, new_tokens: float) -> float:
    """Sequences that vLLM's cache holds at once, at least one.

    Args:
        setup: Of the run.
        new_tokens: Of a response.
    """
    sequence = setup.shape.cache_bytes(setup.engine.number_bytes) * (
        setup.batch.mean_prompt_tokens + new_tokens
    )
    return max(1.0, min(setup.engine.max_rows, cache_pool(setup) // sequence))


def _over_links(setup: Setup, size: float) -> float:
    """Seconds to gather, or to reduce and scatter, so many bytes over all ranks' links.

    Each rank sends ``(ranks − 1)/ranks`` of it, whatever the number of ranks.
    """
    ranks = setup.training.ranks
    link = setup.device.between(ranks) * setup.efficiency.bandwidth
    return (ranks - 1) / ranks * size / link


def _push_seconds(setup: Setup) -> float:
    """An engine with weights of its own gets them once a batch: gathered if sharded, copied.

    `HFEngine` has weights of its own only where the policy is sharded; they are gathered in the
    type in which they are kept.
    """
    engine, training = setup.engine, setup.training
    if engine.kind == "hf" and training.sharding == 1:
        return 0.0
    size = setup.shape.parameters * engine.number_bytes
    copied = (size + training.weight_bytes) / (setup.device.bandwidth * setup.efficiency.bandwidth)
    whole = training.weight_bytes if engine.kind == "hf" else setup.gathered_bytes
    gathered = _over_links(setup, whole) if training.sharding > 1 else 0.0
    sent = size / setup.device.network if engine.kind == "vllm_server" else 0.0
    return copied + gathered + sent


def _causal(setup: Setup, rows: int) -> bool:
    attention = setup.training.attention
    return "flash" in attention or (attention == "sdpa" and rows == 1)


def _scoring_seconds(setup: Setup) -> float:
    """Forward passes of a batch, ``2 · N`` a token."""
    batch, training = setup.batch, setup.training
    flops = forward_flops(
        setup.shape,
        batch.mean_prompt_tokens,
        batch.mean_new_tokens,
        _causal(setup, setup.mean_rows),
    )
    passes = batch.rollouts * batch.trained_share * batch.scoring_passes / training.ranks
    return passes * flops.forward / _rate(setup)


def _rate(setup: Setup) -> float:
    return setup.device.rate(setup.training.compute) * setup.efficiency.flops


def _training_seconds(setup: Setup) -> float:
    """Of one optimiser step: arithmetic or links, whichever takes longer.

    Replicas reduce their gradients once a step, two passes over them; shards gather the weights
    for each pass forward and backward, and scatter the gradients of each: ZeRO's 2Ψ and 3Ψ
    (https://arxiv.org/abs/1910.02054, section 7).
    """
    batch, training, shape = setup.batch, setup.training, setup.shape
    flops = forward_flops(
        shape,
        batch.mean_prompt_tokens,
        batch.mean_new_tokens,
        _causal(setup, setup.mean_rows),
    )
    row = training_flops(
        flops,
        min(1.0, training.trained / shape.parameters),
        training.checkpointing,
        setup.mean_rows * batch.mean_new_tokens > batch.chunk_tokens,
    )
    rows = batch.rollouts / batch.steps * batch.trained_share / training.ranks
    gradients = training.trained * training.trained_bytes
    if training.sharding > 1:
        sent = setup.passes * (2 * setup.gathered_bytes + gradients)
    else:
        sent = 2 * gradients
    return max(rows * row / _rate(setup), _over_links(setup, sent))


def _update_seconds(setup: Setup) -> float:
    """Reading gradients, and reading and writing parameters and optimiser state."""
    training = setup.training
    number = 3 * training.trained_bytes + 2 * training.optimizer_bytes
    size = training.trained / training.sharding * number
    return size / (setup.device.bandwidth * setup.efficiency.bandwidth)
