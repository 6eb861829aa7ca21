"""Bytes on paper against bytes of real models: weights, optimisers, activations, logits, caches."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from transformers import DynamicCache

from p2o.configuration.build import CONFIG_NAME, build, conf_directory
from p2o.learning.sizes import BatchSizes
from p2o.planning import Engine, estimate
from p2o.planning.devices import DEVICES
from p2o.planning.memory import (
    BACKWARD,
    DECODE,
    LOSS,
    MOMENTS,
    PREFILL,
    SCORING,
    items,
    layer_bytes,
    logits_bytes,
    pass_bytes,
)
from p2o.planning.read_training import _optimizer
from p2o.planning.settings_reader import Reader
from p2o.planning.shape import shape_of
from p2o.policy.adapters import add_lora
from p2o.policy.blocks import checkpoint_blocks
from p2o.policy.causal import CausalPolicy
from p2o.policy.packing import ALWAYS, Packer
from p2o.rollout.engine import SamplingParameters
from p2o.rollout.hf import HFEngine
from p2o.rollout.weights import whole_copy
from p2o.sample import Sample
from tests.patience import HANGS
from tests.planning.rows import packed

FLOAT32, MIXED, BFLOAT16 = "float32", "mixed", "bfloat16"
PRECISIONS = {
    # Parameters, whether autocast, bytes of products and of the residual stream.
    FLOAT32: (torch.float32, False, 4, 4),
    MIXED: (torch.float32, True, 2, 4),
    BFLOAT16: (torch.bfloat16, False, 2, 2),
}
ROWS, LENGTH = 4, 64


def size(name, setup, moment=None):
    return sum(
        item.bytes
        for item in items(setup)
        if item.name == name and (moment is None or moment in item.moments)
    )


def numbers(tensors):
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def parts(tensor):
    """What torchao packs a tensor into, but for the table of values, which all share."""
    names = tensor.__tensor_flatten__()[0] if hasattr(tensor, "__tensor_flatten__") else ["data"]
    return [getattr(tensor, name) for name in names if name != "qmap"]


def composed(*overrides):
    with initialize_config_dir(version_base="1.3", config_dir=str(conf_directory())):
        return compose(CONFIG_NAME, overrides=list(overrides))


@pytest.mark.parametrize(
    "option",
    [
        "adamw",
        "muon",
        "sgd",
        "lion",
        # The first step compiles.
        pytest.param("adamw_8bit", marks=pytest.mark.slow),
    ],
)
def test_weights_gradients_and_optimiser_state_are_those_of_a_real_step(
    small_model, setup_of, option
):
    momentum = ["optimizer.momentum=0.9"] if option == "sgd" else []
    config = composed(f"optimizer={option}", *momentum)
    # Wide enough for torchao to pack every matrix.
    model = small_model(hidden_size=128, intermediate_size=256, head_dim=32)
    optimizer = build(config.optimizer, "optimizer")(list(model.named_parameters()))
    model(torch.arange(8)[None]).logits.sum().backward()
    optimizer.step()
    state, _ = _optimizer(
        Reader(config), shape_of(model), shape_of(model).parameters, 4.0, DEVICES["laptop"]
    )
    setup = setup_of(model, optimizer_bytes=state)
    assert size("parameters", setup) == numbers(model.parameters())
    assert size("gradients", setup) == numbers(p.grad for p in model.parameters())
    kept = [
        tensor
        for values in optimizer.state.values()
        for tensor in values.values()
        # Steps are counted by a number a tensor.
        if isinstance(tensor, torch.Tensor) and tensor.ndim
    ]
    if option == "adamw_8bit":
        kept = [part for tensor in kept for part in parts(tensor)]
        # Vectors stay in float32.
        assert size("optimiser state", setup) == pytest.approx(numbers(kept), rel=0.02)
    else:
        assert round(size("optimiser state", setup)) == numbers(kept)


@pytest.mark.parametrize("family", ["llama", "qwen3"])
def test_the_cache_of_a_token_is_transformers_own(small_model, family):
    model = small_model(family, layers=3)
    cache = DynamicCache(config=model.config)
    with torch.no_grad():
        model(torch.ones(2, 7).long(), past_key_values=cache)
    kept = [getattr(layer, name) for layer in cache.layers for name in ("keys", "values")]
    assert shape_of(model).cache_bytes(4) * 14 == numbers(kept)


def kept_for_backward(model, precision, padded):
    """Bytes that the decoder keeps besides parameters, and the hook's own view of them."""
    dtype, autocast, *_ = PRECISIONS[precision]
    parameters = {p.untyped_storage()._cdata for p in model.parameters()}
    kept = {}

    def note(tensor):
        storage = tensor.untyped_storage()
        if storage._cdata not in parameters:
            kept[storage._cdata] = storage
        return tensor

    mask = torch.ones(ROWS, LENGTH).long()
    if padded:
        mask[0, -5:] = 0
    with (
        torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor),
        torch.autocast("cpu", torch.bfloat16, enabled=autocast),
    ):
        hidden = model.get_decoder()(
            torch.randint(3, 100, (ROWS, LENGTH)), attention_mask=mask, use_cache=False
        )
    total = sum(storage.nbytes() for storage in kept.values())
    del hidden
    return total


@pytest.mark.slow
@pytest.mark.parametrize("family", ["llama", "qwen2", "qwen3"])
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize(
    ("attention", "padded"), [("sdpa", False), ("sdpa", True), ("eager", False)]
)
def test_what_a_layer_keeps_is_exact(small_model, family, precision, attention, padded):
    dtype, autocast, compute, stream = PRECISIONS[precision]
    totals = [
        kept_for_backward(
            small_model(family, layers, dtype, attn_implementation=attention), precision, padded
        )
        for layers in (2, 4)
    ]
    shape = shape_of(small_model(family))
    copies = compute * shape.matrices / shape.layers if autocast else 0
    expected = layer_bytes(shape, compute, stream, autocast, LENGTH, padded, attention)
    assert (totals[1] - totals[0]) / 2 - copies == ROWS * LENGTH * expected


@pytest.mark.parametrize("precision", PRECISIONS)
def test_an_adapters_own_activations_are_what_is_left_out(small_model, precision):
    dtype, autocast, compute, stream = PRECISIONS[precision]
    totals = [
        kept_for_backward(add_lora(small_model("llama", layers, dtype), r=4), precision, False)
        for layers in (2, 4)
    ]
    shape = shape_of(small_model("llama"))
    copies = compute * shape.matrices / shape.layers if autocast else 0
    counted = layer_bytes(shape, compute, stream, autocast, LENGTH, False, "sdpa")
    kept = ((totals[1] - totals[0]) / 2 - copies) / (ROWS * LENGTH)
    assert 0.9 < kept / counted < 1.6


@pytest.mark.parametrize("chunk", [32, 4096])
@pytest.mark.parametrize("gradient", [True, False])
def test_the_logits_of_a_chunk_peak_at_four_float32_copies(small_model, in_use, chunk, gradient):
    vocabulary, responses = 20_000, 128
    model = small_model(layers=1, vocab_size=vocabulary)
    policy = CausalPolicy(model, 0.7, chunk)
    lengths = torch.full((ROWS,), 32)
    ids = torch.randint(3, 100, (ROWS, LENGTH))
    with in_use([*model.parameters(), *model.buffers()]) as used, torch.set_grad_enabled(gradient):
        log_probs, _ = policy(packed(ids, lengths, lengths))
        peak = used.peak
    assert log_probs.requires_grad == gradient
    expected = logits_bytes(vocabulary, min(chunk, responses))
    assert expected <= peak < 1.2 * expected
    if chunk > responses:
        assert peak < 1.05 * expected


def training_peak(model, in_use, precision, rows, prompt, response, chunk=4096):
    """Most bytes of one forward and backward pass, by moment, with gradients already there."""
    autocast = PRECISIONS[precision][1]
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    gradients = [parameter.grad for parameter in model.parameters()]
    policy = CausalPolicy(model.train(), 0.7, chunk)
    lengths = torch.full((rows,), prompt), torch.full((rows,), response)
    ids = torch.randint(3, 100, (rows, prompt + response))
    with in_use([*model.parameters(), *model.buffers(), *gradients]) as used:
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            log_probs, _ = policy(packed(ids, *lengths))
        forward, used.peak = used.peak, used.bytes
        log_probs.sum().backward()
    return forward, used.peak


@pytest.mark.slow
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("vocabulary", [128, 4096])
def test_a_training_step_peaks_where_the_items_say(
    small_model, setup_of, in_use, precision, checkpointing, vocabulary
):
    dtype, autocast, compute, stream = PRECISIONS[precision]
    model = small_model(layers=6, dtype=dtype, vocab_size=vocabulary)
    if checkpointing:
        checkpoint_blocks(model)
    setup = setup_of(
        model,
        trained_bytes=dtype.itemsize,
        compute_bytes=compute,
        stream_bytes=stream,
        autocast=autocast,
        checkpointing=checkpointing,
    )
    # Rows of one length: as for a single row, no mask is made.
    batch = replace(setup.batch, sizes=BatchSizes(2, 4, 2, 4), prompt_tokens=160, new_tokens=96)
    plan = estimate(replace(setup, batch=batch))
    assert plan.setup.micro_rows == 1
    weights = plan.at("update") - size("update's scratch", plan.setup)
    forward, backward = training_peak(model, in_use, precision, 1, 160, 96)
    if vocabulary > 1000:
        assert plan.at(LOSS) > plan.at(BACKWARD)
        assert plan.at(LOSS) - weights == pytest.approx(forward, rel=0.1)
    assert max(plan.at(LOSS), plan.at(BACKWARD)) - weights == pytest.approx(
        max(forward, backward), rel=0.1
    )


@pytest.mark.parametrize("checkpointing", [False, True])
def test_a_pass_full_of_rollouts_that_share_a_prompt_peaks_where_the_items_say(
    small_model, setup_of, in_use, checkpointing
):
    model = small_model(layers=6)
    if checkpointing:
        checkpoint_blocks(model)
    sizes = BatchSizes(group_size=20, batch=1, mini_batch=1)
    limits = {"prompt_tokens": 160, "new_tokens": 40, "pass_tokens": 256}
    setup = setup_of(model, checkpointing=checkpointing)
    plan = estimate(replace(setup, batch=replace(setup.batch, sizes=sizes, **limits)))
    assert (plan.setup.micro_rows, plan.setup.held_rows) == (20, 1)
    weights = plan.at("update") - size("update's scratch", plan.setup)
    # Ten responses of 16 tokens to a prompt of 96 make a row of 256.
    prompt = torch.randint(3, 100, (96,)).tolist()
    samples = [Sample.of(prompt, [k + 3, *[5] * 15]) for k in range(10)]
    [(row, _)] = Packer(ALWAYS, pass_tokens=256).pack(samples)
    assert row.input_ids.shape == (1, 256)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    gradients = [parameter.grad for parameter in model.parameters()]
    policy = CausalPolicy(model.train(), 0.7)
    with in_use([*model.parameters(), *model.buffers(), *gradients]) as used:
        policy(row)[0].sum().backward()
        peak = used.peak
    assert max(plan.at(LOSS), plan.at(BACKWARD)) - weights == pytest.approx(peak, rel=0.1)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_chunks_of_logits_leave_a_gradient_of_the_head(small_model, setup_of, in_use, precision):
    dtype, autocast, compute, stream = PRECISIONS[precision]
    model = small_model(layers=1, dtype=dtype, vocab_size=20_000)
    setup = setup_of(
        model,
        trained_bytes=dtype.itemsize,
        compute_bytes=compute,
        stream_bytes=stream,
        autocast=autocast,
    )
    batch = replace(setup.batch, prompt_tokens=32, new_tokens=96, chunk_tokens=32)
    plan = estimate(replace(setup, batch=batch))
    weights = plan.at("update") - size("update's scratch", plan.setup)
    peak = max(training_peak(model, in_use, precision, 1, 32, 96, chunk=32))
    assert plan.at(LOSS) - weights == pytest.approx(peak, rel=0.1)
    assert size("logits of a chunk", plan.setup) > 1.2 * logits_bytes(20_000, 32)


def test_checkpointing_is_what_takes_memory_off(small_model, setup_of):
    setup = setup_of(small_model(layers=6))
    less = replace(setup, training=replace(setup.training, checkpointing=True))
    weights = 4 * setup.training.weight_bytes
    assert estimate(less).at(BACKWARD) - weights < 0.5 * (estimate(setup).at(BACKWARD) - weights)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("intermediate", [320, 640])
def test_a_pass_without_gradient_takes_four_streams_and_three_inner_tensors(
    small_model, in_use, precision, intermediate
):
    dtype, autocast, compute, stream = PRECISIONS[precision]
    model = small_model("llama", 2, dtype, intermediate_size=intermediate)
    lengths = torch.full((ROWS,), 62), torch.full((ROWS,), 2)
    lengths[1][0] -= 1
    with (
        in_use([*model.parameters(), *model.buffers()]) as used,
        torch.no_grad(),
        torch.autocast("cpu", torch.bfloat16, enabled=autocast),
    ):
        CausalPolicy(model, 1.0)(packed(torch.randint(3, 100, (ROWS, LENGTH)), *lengths))
    shape = shape_of(model)
    expected = pass_bytes(shape, ROWS, LENGTH, compute, stream, "sdpa")
    copies = compute * shape.matrices if autocast else 0
    assert expected == pytest.approx(used.peak - copies, rel=0.1)


@pytest.mark.slow
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("precision", [FLOAT32, BFLOAT16])
def test_pairs_of_tokens_are_what_long_padded_rows_take(small_model, in_use, attention, precision):
    length, (dtype, _, compute, stream) = 1200, PRECISIONS[precision]
    options = {"attn_implementation": attention, "max_position_embeddings": length}
    model = small_model("llama", 2, dtype, **options)
    lengths = torch.full((2,), length - 2), torch.tensor([2, 1])
    with in_use([*model.parameters(), *model.buffers()]) as used, torch.no_grad():
        CausalPolicy(model, 1.0)(packed(torch.randint(3, 100, (2, length)), *lengths))
    shape = shape_of(model)
    expected = pass_bytes(shape, 2, length, compute, stream, attention)
    pairs = expected - pass_bytes(shape, 2, length, compute, stream, "flash_attention_2")
    assert pairs > 0.5 * expected
    assert expected == pytest.approx(used.peak, rel=0.15)


def sampling(small_model, in_use, prompt, response):
    """Peak of `HFEngine`, and the same on paper; prompts of different length."""
    model = small_model("llama", 4).requires_grad_(False)
    # A token that is none, so that no completion ends before its limit.
    model.generation_config.eos_token_id = 10**6
    prompts = [[5 + row] * (prompt - 3 * (row == 0)) for row in range(16)]
    drawn = SamplingParameters(temperature=1.0, max_new_tokens=response)
    with in_use([*model.parameters(), *model.buffers()]) as used:
        completions = HFEngine(model).generate(prompts, drawn, range(16))
    assert {len(completion.token_ids) for completion in completions} == {response}
    return model, used.peak


@pytest.mark.parametrize(("prompt", "response", "moment"), [(60, 4, PREFILL), (8, 80, DECODE)])
def test_sampling_with_transformers_peaks_where_the_items_say(
    small_model, setup_of, in_use, prompt, response, moment
):
    model, peak = sampling(small_model, in_use, prompt, response)
    setup = setup_of(model)
    sizes = BatchSizes(2, 8, 8)
    batch = replace(setup.batch, sizes=sizes, prompt_tokens=prompt, new_tokens=response)
    plan = estimate(replace(setup, batch=batch))
    weights = plan.at("update") - size("update's scratch", plan.setup)
    assert plan.at(moment) == max(plan.at(PREFILL), plan.at(DECODE))
    assert plan.at(moment) - weights == pytest.approx(peak, rel=0.1)


def test_rows_at_work_are_those_of_the_largest_engine_call(small_model, setup_of):
    setup = setup_of(small_model())
    eight = size("drawing tokens", setup)
    assert eight == 8 * 128 * 28
    capped = replace(setup, engine=Engine(max_rows=3))
    assert size("drawing tokens", capped) == 3 * 128 * 28
    evaluated = replace(setup.schedule, held_out=replace(setup.schedule.held_out, at_once=20))
    assert size("drawing tokens", replace(setup, schedule=evaluated)) == 20 * 128 * 28


def test_shards_divide_weights_gradients_and_state_and_nothing_else(small_model, setup_of):
    model = small_model(layers=4)
    whole = setup_of(model, ranks=4, master_bytes=4.0)
    shared = setup_of(model, ranks=4, sharding=4, master_bytes=4.0)
    for name in ("parameters", "gradients", "optimiser state", "master weights"):
        assert size(name, shared) == size(name, whole) / 4 > 0
    for name in ("activations", "logits of a chunk", "key-value cache"):
        assert size(name, shared) == size(name, whole) > 0
    shape = whole.shape
    assert size("gathered layers", shared, BACKWARD) == pytest.approx(
        4 * (2 * shape.layer + shape.head)
    )
    assert size("gathered layers", shared, DECODE) == size("gathered layers", whole) == 0
    # What samples is a whole copy, which is there from beginning to end.
    weights = numbers(whole_copy(model).parameters())
    assert {size("engine's weights", shared, moment) for moment in MOMENTS} == {weights}
    assert size("engine's weights", whole) == 0


def test_replicas_send_gradients_from_a_second_copy_unless_told_otherwise(small_model, setup_of):
    model = small_model()
    assert size("gradient buckets", setup_of(model)) == 0
    assert size("gradient buckets", setup_of(model, ranks=2)) == numbers(model.parameters())
    assert size("gradient buckets", setup_of(model, ranks=2, bucket_copies=False)) == 0
    assert size("gradient buckets", setup_of(model, ranks=2, sharding=2)) == 0


@pytest.mark.slow
@pytest.mark.multirank
def test_data_parallelism_really_keeps_that_second_copy():
    assert two_ranks("buckets") == [(30 * 30 + 30) * 4, 1]


@pytest.mark.slow
@pytest.mark.multirank
def test_autocast_really_keeps_whole_copies_of_weights_that_are_sharded():
    matrices, within, after = two_ranks("casts")
    assert within == pytest.approx(2 * matrices, rel=0.01)
    assert after < 0.01 * matrices


def two_ranks(what):
    """Numbers that rank 0 of `two_ranks.py` prints; a process group would outlive a test here."""
    program = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    done = subprocess.run(
        [*program, str(Path(__file__).parent / "two_ranks.py"), what],
        capture_output=True,
        text=True,
        check=True,
        timeout=HANGS,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    return [int(number) for number in done.stdout.split()]


def test_adamw_on_a_gpu_takes_all_square_roots_at_once(small_model, setup_of, in_use):
    model = small_model()
    # The default of CUDA, where it exists.
    optimizer = torch.optim.AdamW(model.parameters(), foreach=True)
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    state = [t for values in optimizer.state.values() for t in values.values()]
    gradients = [parameter.grad for parameter in model.parameters()]
    with in_use([*model.parameters(), *gradients, *state]) as used:
        optimizer.step()
    setup = setup_of(model, scratch_bytes=4.0)
    assert size("update's scratch", setup) == pytest.approx(used.peak, rel=0.05)


def test_vllm_takes_its_share_while_it_is_awake(small_model, setup_of):
    setup = setup_of(small_model())
    asleep = replace(setup, engine=Engine("vllm", number_bytes=2.0, memory_share=0.3))
    awake = replace(asleep, engine=replace(asleep.engine, sleeps=False))
    share = 0.3 * setup.device.memory
    for moment in MOMENTS:
        added = estimate(awake).at(moment) - estimate(asleep).at(moment)
        assert added == pytest.approx(0 if moment in (PREFILL, DECODE) else share)
    # Parameters, gradients as large, and AdamW's state twice as large.
    assert estimate(asleep).at(DECODE) == pytest.approx(share + 4 * setup.training.weight_bytes)


def test_an_engine_without_room_for_one_sequence_does_not_fit(small_model, setup_of):
    setup = setup_of(small_model())
    engine = Engine("vllm", number_bytes=2.0)
    sequence = setup.shape.cache_bytes(2.0) * setup.batch.longest
    needed = (setup.shape.parameters * 2.0 + sequence) / setup.device.memory
    enough = replace(setup, engine=replace(engine, memory_share=1.01 * needed))
    short = replace(setup, engine=replace(engine, memory_share=0.99 * needed))
    assert estimate(enough).fits
    assert not estimate(short).fits
    assert estimate(enough).sequence_cache == sequence
    assert estimate(enough).batch_cache == 8 * sequence


def test_scored_rows_are_counted_only_where_rows_are_scored(small_model, setup_of):
    setup = setup_of(small_model())
    assert size("rows that are scored", setup) == 0
    batch = replace(setup.batch, scoring_passes=1.0, pass_tokens=5 * 32)
    scoring = replace(setup, batch=batch)
    through = pass_bytes(setup.shape, 5, 32, 4, 4, "sdpa")
    assert size("rows that are scored", scoring, SCORING) == through
