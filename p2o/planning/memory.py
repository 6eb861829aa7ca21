"""Memory of one device, item by item and moment by moment.

Formulas are per rank. n rows of L = P + T tokens are in a pass, P of the prompt and T of the
response; h, f, q, k and V as in `ModelShape`; c bytes of a number in matrix products, s of one in
the residual stream. The derivation is in docs/scaling.md.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from p2o.planning.setup import Setup
from p2o.planning.shape import ModelShape
from p2o.rollout.one_token import ROOM

PREFILL, DECODE, SCORING, LOSS, BACKWARD, UPDATE = MOMENTS = (
    "prefill",
    "decode",
    "scoring",
    "loss",
    "backward",
    "update",
)
"""When memory peaks: sampling, passes without gradient, head and loss, layers' backward, update."""
ALWAYS = frozenset(MOMENTS)
FLOAT32 = 4
LOGITS_COPIES = 4
"""Float32 tensors as large as the logits of a chunk: logits, log-softmax, its exp, the product."""
DRAW_BYTES = 28
"""Of each vocabulary entry of a row that `HFEngine` draws: three float32, two float64 tensors."""


@dataclass(frozen=True)
class Item:
    """Something that takes memory.

    Attributes:
        name: For tables.
        bytes: Of one device.
        moments: When it is there.
    """

    name: str
    bytes: float
    moments: frozenset[str] = ALWAYS


def layer_bytes(
    shape: ModelShape,
    compute: float,
    stream: float,
    autocast: bool,
    length: int,
    padded: bool,
    attention: str,
) -> float:
    """What one layer keeps of one token for its backward pass.

    Two norms keep their float32 input, and their normed output before and after its weight::

        2 · (4h + s·h + c·h),  under autocast  2 · (4h + 4h) + 5 · c·h

    where autocast casts the output for each of the five matrices that read it. Attention keeps
    queries, keys, values, its output and a float32 sum for each head; a padded batch has keys and
    values repeated for all query heads, and the mask as numbers, L for each token. The feed-forward
    layer keeps gate, its activation, the other factor and the product::

        c · (2q + 2k) + 4 · heads,  padded  c · (4q + L) + 4 · heads
        4 · c·f

    Like Korthikanti et al. (https://arxiv.org/abs/2205.05198, section 4.1), for another layer and
    the implementation in transformers.

    Args:
        shape: Of the model.
        compute: Bytes of a number in matrix products.
        stream: Bytes of a number of the residual stream.
        autocast: Whether inputs of matrices are cast.
        length: Tokens of a row.
        padded: Whether rows of a batch differ in length.
        attention: ``sdpa``, ``eager`` or a ``flash`` kernel.
    """
    h, q, k = shape.hidden, shape.queries, shape.keys
    norms = 2 * (FLOAT32 + stream) * h + 2 * compute * h + 2 * FLOAT32
    if autocast:
        norms += 3 * compute * h
    if shape.normed_heads:
        norms += (FLOAT32 + compute) * (q + k) + FLOAT32 * (shape.heads + shape.key_value_heads)
    if attention == "eager":
        # The softmax in float32, and once more where products are of another type.
        weights = FLOAT32 + (compute if compute != FLOAT32 else 0)
        kept = compute * 4 * q + weights * shape.heads * length
    elif attention == "sdpa" and padded:
        kept = compute * (4 * q + length) + FLOAT32 * shape.heads
    else:
        kept = compute * (2 * q + 2 * k) + FLOAT32 * shape.heads
    return norms + kept + 4 * compute * shape.intermediate


def pass_bytes(
    shape: ModelShape,
    rows: int,
    length: int,
    compute: float,
    stream: float,
    attention: str,
) -> float:
    """A forward pass without gradient: the stream four times, three feed-forward tensors, masks.

    ``n · L · (4 · s·h + 3 · c·f)``; what attention adds, ``n · L²`` times ``1 + c`` with sdpa when
    there is padding: the mask, and the same as numbers for one layer; with eager attention
    ``c + 8 · heads``: scores and their softmax in float32, and where products are of another type
    the scores in that as well, ``c + (8 + c) · heads``.
    """
    tokens = rows * length * (4 * stream * shape.hidden + 3 * compute * shape.intermediate)
    pairs = mask_bytes(rows, length, compute, attention, rows == 1)
    if attention == "eager":
        scores = 2 * FLOAT32 + (compute if compute != FLOAT32 else 0)
        pairs += rows * length**2 * shape.heads * scores
    elif pairs:
        pairs += rows * length**2 * compute
    return tokens + pairs


def mask_bytes(rows: int, length: int, compute: float, attention: str, alone: bool) -> float:
    """The mask of all pairs of tokens that layers share.

    ``c · n · L²`` with eager attention; a byte a pair with sdpa, which needs none for a sample
    `alone`; nothing with a flash kernel.
    """
    if attention == "eager":
        return rows * length**2 * compute
    return float(rows * length**2) if attention == "sdpa" and not alone else 0.0


def logits_bytes(vocabulary: int, tokens: int) -> float:
    """The logits of a chunk, when they peak: ``4 tensors · 4 bytes · V · tokens``."""
    return LOGITS_COPIES * FLOAT32 * vocabulary * tokens


def items(setup: Setup) -> tuple[Item, ...]:
    """Everything that takes memory on one of the trainer's devices."""
    return (*_weights(setup), *_passes(setup), *_engine(setup))


def _weights(setup: Setup) -> Iterator[Item]:
    """What is there from beginning to end; ZeRO's P, G and O (https://arxiv.org/abs/1910.02054)."""
    training, shape = setup.training, setup.shape
    trained = training.trained / training.sharding
    yield Item("parameters", training.weight_bytes / training.sharding)
    yield Item("gradients", trained * training.trained_bytes)
    yield Item("optimiser state", trained * training.optimizer_bytes)
    yield Item("master weights", trained * training.master_bytes)
    if training.ranks > 1 and training.sharding == 1 and training.bucket_copies:
        yield Item("gradient buckets", training.trained * training.trained_bytes)
    if training.frozen_copies:
        yield Item("frozen copies", training.frozen_copies * training.weight_bytes)
    if training.sharding > 1:
        # A layer at work and the next one on its way; the head is a unit of its own.
        units = (2 * shape.layer + shape.head) / shape.parameters
        moments = frozenset({SCORING, LOSS, BACKWARD})
        yield Item("gathered layers", units * setup.gathered_bytes, moments)
    yield Item("update's scratch", trained * training.scratch_bytes, frozenset({UPDATE}))


def _passes(setup: Setup) -> Iterator[Item]:
    shape, training, batch = setup.shape, setup.training, setup.batch
    compute, stream = training.compute_bytes, training.stream_bytes
    if training.autocast:
        # Not shared out by sharding: the cast is of the weights that were put together.
        copies = compute * (shape.matrices + shape.head)
        forward = frozenset({SCORING, LOSS})
        if training.checkpointing:
            yield Item("autocast's weights", copies, forward)
            yield Item("autocast's, one layer", copies / shape.layers, frozenset({BACKWARD}))
        else:
            yield Item("autocast's weights", copies, forward | {BACKWARD})
    kinds = [list(_held(setup, setup.held_rows, batch.longest, setup.held_rows == 1))]
    if setup.held_rows < setup.micro_rows:
        # Shorter samples fill a pass; those of a prompt share a row, under a mask.
        kinds.append(list(_held(setup, 1, batch.pass_tokens, False)))
    yield from max(kinds, key=lambda held: sum(item.bytes for item in held))
    responses = setup.held_rows * batch.new_tokens
    chunk = logits_bytes(shape.vocabulary, min(batch.chunk_tokens, responses))
    if responses > batch.chunk_tokens and training.trained == shape.parameters:
        # Chunks' gradients of the head are added up before they reach the parameter's own.
        chunk += compute * shape.head
    yield Item("logits of a chunk", chunk, frozenset({LOSS}))
    length, scored = batch.longest, min(batch.pass_rows, -(-batch.rollouts // training.ranks))
    if batch.scoring_passes:
        through = pass_bytes(shape, scored, length, compute, stream, training.attention)
        head = logits_bytes(shape.vocabulary, min(batch.chunk_tokens, scored * batch.new_tokens))
        head += scored * length * stream * shape.hidden
        yield Item("rows that are scored", max(through, head), frozenset({SCORING}))


def _held(setup: Setup, rows: int, length: int, alone: bool) -> Iterator[Item]:
    """What a pass holds for its backward pass.

    Args:
        setup: Of the run.
        rows: In it.
        length: Tokens of a row.
        alone: Whether it is one sample, which needs no mask.
    """
    shape, training = setup.shape, setup.training
    compute, stream = training.compute_bytes, training.stream_bytes
    layer = layer_bytes(
        shape, compute, stream, training.autocast, length, not alone, training.attention
    )
    tokens = rows * length
    # The last norm, its output, and the part of it that the head reads.
    outside = tokens * (FLOAT32 + 3 * stream) * shape.hidden
    mask = mask_bytes(rows, length, compute, training.attention, alone)
    both = frozenset({LOSS, BACKWARD})
    if training.checkpointing:
        inputs = tokens * shape.layers * stream * shape.hidden
        yield Item("activations: layers' inputs", inputs + outside + mask, both)
        yield Item("activations: one layer again", tokens * layer, frozenset({BACKWARD}))
    else:
        yield Item("activations", tokens * shape.layers * layer + outside + mask, both)


def _engine(setup: Setup) -> Iterator[Item]:
    engine, shape, batch = setup.engine, setup.shape, setup.batch
    number = engine.number_bytes
    if engine.kind == "vllm":
        moments = frozenset({PREFILL, DECODE}) if engine.sleeps else ALWAYS
        yield Item("engine's weights", shape.parameters * number, moments)
        yield Item("engine's cache, work space", cache_pool(setup), moments)
    if engine.kind != "hf":
        return
    if setup.training.sharding > 1:
        # A copy of its own, which samples between two updates without the shards.
        yield Item("engine's weights", shape.parameters * number)
    rows, q = sampled_rows(setup), shape.queries
    prompt = pass_bytes(
        shape, rows, batch.prompt_tokens, number, number, setup.training.attention
    ) + rows * batch.prompt_tokens * shape.cache_bytes(number)
    yield Item("prompts read at once", prompt, frozenset({PREFILL}))
    # Each time that a layer runs out of room its keys are copied, and then its values.
    grown = -(-max(batch.new_tokens - 1, 0) // ROOM) * ROOM
    cached = rows * (batch.prompt_tokens + grown)
    yield Item("key-value cache", cached * shape.cache_bytes(number), frozenset({DECODE}))
    if setup.training.attention == "eager" and shape.keys < q:
        copied = cached * 2 * q * number
    else:
        copied = rows * (batch.prompt_tokens + max(grown - ROOM, 0)) * shape.keys * number
    yield Item("cache copied, one layer", copied, frozenset({DECODE}))
    yield Item("drawing tokens", rows * shape.vocabulary * DRAW_BYTES, frozenset({DECODE}))


def sampled_rows(setup: Setup) -> int:
    """Sequences that one `HFEngine` has at work at once, of whatever asks for most."""
    schedule = setup.schedule
    most = max(setup.batch.rollouts, schedule.held_out.at_once, schedule.search.at_once)
    return min(setup.engine.max_rows, -(-most // setup.replicas))


def cache_pool(setup: Setup) -> float:
    """Bytes that vLLM has for keys and values, on all devices of one engine; may be negative."""
    engine = setup.engine
    share = engine.memory_share * setup.device.memory * engine.devices_per_server
    return share - setup.shape.parameters * engine.number_bytes
