"""Well-known models at the published settings, for the tables of docs/scaling.md."""

from collections.abc import Iterator
from dataclasses import replace
from functools import cache

from transformers import PreTrainedConfig, Qwen2Config, Qwen3Config

from p2o.evolution.budget import resolve_budget
from p2o.learning.sizes import BatchSizes
from p2o.planning.advice import checkpointed, sharded, with_lora
from p2o.planning.devices import DEVICES
from p2o.planning.plan import Plan, estimate
from p2o.planning.setup import Batch, Draws, Engine, Schedule, Setup, TrainingSetup
from p2o.planning.shape import ModelShape, meta_model, shape_of

PROMPTS, EPOCHS, HELD_OUT = 5000, 10, 500
"""Of P²O's paper (arXiv 2603.21877): DeepScaler-5K, and its dev set."""
GROUP_SIZE, BATCH, MINI_BATCH = 6, 128, 64
PROMPT_TOKENS, NEW_TOKENS = 4096, 12288
SEARCH, DEV_SIZE = "heavy_4", 300
MEAN_PROMPT_TOKENS, MEAN_NEW_TOKENS = 512, 6144
"""Assumed: half of the limit for a response, an eighth for a prompt."""
TEMPLATED_SHARE = 0.5
"""Assumed: of the rollouts; one such takes two scoring passes, another half of one."""
CHUNK_TOKENS, PASS_TOKENS = 1024, 8192
SERVER_DEVICES = 4
"""Devices of a vLLM server, where the engine has devices of its own."""


def configurations() -> dict[str, PreTrainedConfig]:
    """Published hyperparameters: the models' cards and config.json at https://huggingface.co/Qwen."""
    return {
        "Qwen2.5-0.5B": Qwen2Config(
            hidden_size=896,
            intermediate_size=4864,
            num_hidden_layers=24,
            num_attention_heads=14,
            num_key_value_heads=2,
            vocab_size=151936,
            tie_word_embeddings=True,
        ),
        "Qwen3-4B": Qwen3Config(
            hidden_size=2560,
            intermediate_size=9728,
            num_hidden_layers=36,
            num_attention_heads=32,
            num_key_value_heads=8,
            head_dim=128,
            vocab_size=151936,
            tie_word_embeddings=True,
        ),
        "Qwen2.5-32B": Qwen2Config(
            hidden_size=5120,
            intermediate_size=27648,
            num_hidden_layers=64,
            num_attention_heads=40,
            num_key_value_heads=8,
            vocab_size=152064,
            tie_word_embeddings=False,
        ),
    }


@cache
def shapes() -> dict[str, ModelShape]:
    """By name."""
    return {name: shape_of(meta_model(config)) for name, config in configurations().items()}


def published(shape: ModelShape, ranks: int) -> Setup:
    """The published settings, with float32 weights under bfloat16 autocast and vLLM beside them.

    Args:
        shape: Of the model.
        ranks: Devices.
    """
    steps = BATCH // MINI_BATCH
    later = 1 - 1 / steps
    mean = float(MEAN_NEW_TOKENS)
    return Setup(
        shape,
        TrainingSetup(
            trained=shape.parameters,
            trained_bytes=4,
            optimizer_bytes=8,
            scratch_bytes=4,
            compute="bfloat16",
            compute_bytes=2,
            stream_bytes=4,
            autocast=True,
            ranks=ranks,
        ),
        Batch(
            BatchSizes(GROUP_SIZE, BATCH, MINI_BATCH),
            PROMPT_TOKENS,
            NEW_TOKENS,
            MEAN_PROMPT_TOKENS,
            MEAN_NEW_TOKENS,
            CHUNK_TOKENS,
            PASS_TOKENS,
            scoring_passes=TEMPLATED_SHARE * 2 + (1 - TEMPLATED_SHARE) * later,
        ),
        Engine("vllm", "bfloat16", 2, memory_share=0.4),
        Schedule(
            PROMPTS,
            EPOCHS,
            held_out=Draws(HELD_OUT, HELD_OUT, NEW_TOKENS, mean),
            search=Draws(resolve_budget(SEARCH, DEV_SIZE), DEV_SIZE, NEW_TOKENS, mean),
            searches=EPOCHS - 1,
            # Of the last three epochs, the most recent one and the best.
            checkpoints=5,
        ),
        DEVICES["h100"],
    )


def with_servers(setup: Setup) -> Setup:
    """Half of the devices serve rollouts, the other half trains."""
    ranks = setup.training.ranks // 2
    servers = ranks // SERVER_DEVICES
    return replace(
        setup,
        training=replace(setup.training, ranks=ranks, sharding=min(setup.training.sharding, ranks)),
        engine=Engine(
            "vllm_server",
            "bfloat16",
            2,
            memory_share=0.9,
            servers=servers,
            devices_per_server=SERVER_DEVICES,
        ),
    )


def first_that_fits(shape: ModelShape, ranks: int) -> Plan | None:
    """The first of `choices` that fits, with the largest share of memory for vLLM; None if none."""
    for setup in choices(shape, ranks):
        for share in range(90, 0, -5):
            engine = setup.engine
            if engine.kind == "vllm":
                engine = replace(engine, memory_share=share / 100)
            plan = estimate(replace(setup, engine=engine))
            if plan.fits:
                return plan
    return None


def choices(shape: ModelShape, devices: int) -> Iterator[Setup]:
    """All weights before low-rank ones, vLLM beside the trainer before servers.

    Each with whole weights before sharded ones, and without checkpointing before with it.
    """
    full = published(shape, devices)
    for learned in (full, with_lora(full)):
        for placed in _placed(learned, devices):
            for spread in (placed, sharded(placed)) if placed.training.ranks > 1 else (placed,):
                yield from (spread, checkpointed(spread))


def _placed(setup: Setup, devices: int) -> Iterator[Setup]:
    yield setup
    if devices >= 2 * SERVER_DEVICES:
        yield with_servers(setup)
