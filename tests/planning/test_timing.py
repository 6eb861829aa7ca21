"""Operations are those that torch counts; times follow from them as the formulas say."""

from dataclasses import replace

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from p2o.learning.sizes import BatchSizes
from p2o.planning import Draws, Efficiency, Engine, estimate
from p2o.planning.devices import DEVICES
from p2o.planning.shape import shape_of
from p2o.planning.timing import forward_flops, phases, sampling_seconds, training_flops
from p2o.policy.adapters import add_lora
from p2o.policy.blocks import checkpoint_blocks
from p2o.policy.causal import CausalPolicy
from tests.planning.rows import packed

ROWS, PROMPT, RESPONSE = 3, 40, 24
PERFECT = Efficiency(1.0, 1.0)


def counted(model, chunk=4096, backward=True):
    """Operations of the policy's forward and backward pass, by torch's own count."""
    policy = CausalPolicy(model.train(), 0.7, chunk)
    ids = torch.randint(3, 100, (ROWS, PROMPT + RESPONSE))
    lengths = torch.full((ROWS,), PROMPT), torch.full((ROWS,), RESPONSE)
    with FlopCounterMode(display=False) as counter, torch.set_grad_enabled(backward):
        log_probs, _ = policy(packed(ids, *lengths))
        if backward:
            log_probs.sum().backward()
    return counter.get_total_flops() / ROWS


@pytest.mark.parametrize("family", ["llama", "qwen2", "qwen3"])
@pytest.mark.parametrize("chunk", [8, 4096])
@pytest.mark.parametrize("checkpointing", [False, True])
def test_training_takes_the_operations_that_torch_counts(small_model, family, chunk, checkpointing):
    # Eager attention is made of plain products, all of which torch counts.
    model = small_model(family, vocab_size=900, attn_implementation="eager")
    if checkpointing:
        checkpoint_blocks(model)
    flops = forward_flops(shape_of(model), PROMPT, RESPONSE, causal=False)
    expected = training_flops(flops, 1.0, checkpointing, chunked=chunk < ROWS * RESPONSE)
    # Torch leaves the last matrix of a layer out when it computes the layer again.
    assert expected == pytest.approx(counted(model, chunk), rel=0.05 if checkpointing else 0.001)


def test_a_pass_without_gradient_takes_the_operations_that_torch_counts(small_model):
    model = small_model("llama", vocab_size=900, attn_implementation="eager")
    flops = forward_flops(shape_of(model), PROMPT, RESPONSE, causal=False)
    assert flops.forward == pytest.approx(counted(model, backward=False), rel=0.001)
    assert flops.attention > 0.02 * flops.forward
    assert flops.head == 2 * 900 * 64 * RESPONSE


def test_frozen_weights_need_no_gradient(small_model):
    model = small_model("llama", vocab_size=900, attn_implementation="eager")
    shape = shape_of(model)
    flops = forward_flops(shape, PROMPT, RESPONSE, causal=False)
    adapted = add_lora(model, r=1)
    share = shape.lora_parameters(1) / shape.parameters
    assert training_flops(flops, share, False, False) == pytest.approx(counted(adapted), rel=0.1)
    assert training_flops(flops, 1.0, False, False) > 1.3 * counted(adapted)


def test_six_and_eight_operations_for_each_parameter_and_token(small_model):
    shape = replace(shape_of(small_model()), heads=0, vocabulary=0)
    flops = forward_flops(shape, 100, 0, causal=True)
    assert training_flops(flops, 1.0, False, False) == 6 * shape.matrices * 100
    assert training_flops(flops, 1.0, True, False) == 8 * shape.matrices * 100


def test_a_causal_kernel_does_half_of_the_attention(small_model):
    shape = shape_of(small_model())
    whole = forward_flops(shape, PROMPT, RESPONSE, causal=False)
    half = forward_flops(shape, PROMPT, RESPONSE, causal=True)
    assert half.attention == whole.attention / 2
    assert (half.matrices, half.head) == (whole.matrices, whole.head)


@pytest.fixture
def run(small_model, setup_of):
    """One rank at the peak of an H100."""
    setup = setup_of(small_model(), compute="bfloat16", compute_bytes=2.0)
    return replace(setup, device=DEVICES["h100"], efficiency=PERFECT)


def seconds(setup, name):
    return next(phase.seconds for phase in phases(setup) if phase.name == name)


def test_one_sequence_reads_all_weights_for_every_token(run):
    # A context of next to nothing.
    shape = run.shape
    alone = replace(run, engine=Engine(number_bytes=2.0, compute="bfloat16"))
    weights = 2.0 * (shape.matrices + shape.head)
    # Read once, and copied every 64 tokens.
    cache = (1 + 2 / 64) * shape.cache_bytes(2.0) * (16 + 50 / 2)
    _, decode = sampling_seconds(alone, Draws(1, 1, 50, 50.0))
    assert decode == pytest.approx(50 * (weights + cache) / 3.35e12)


def test_eager_attention_repeats_the_cache_for_query_heads_that_share_keys(run):
    # Weights of nothing, so that the cache is all there is to read; two query heads a key head.
    shape = replace(run.shape, matrices=0, vocabulary=0)
    training = replace(run.training, attention="eager")
    engine = Engine(number_bytes=2.0, compute="bfloat16")
    setup = replace(run, shape=shape, engine=engine, training=training)
    cache = shape.cache_bytes(2.0) * (16 + 50 / 2)
    _, decode = sampling_seconds(setup, Draws(1, 1, 50, 50.0))
    assert decode == pytest.approx(50 * (1 + 2 / 64 + 2 * 2) * cache / 3.35e12)


def test_transformers_replaces_what_has_ended_as_far_as_its_rows_go(run):
    four = replace(run, engine=Engine(max_rows=4, step_seconds=1.0))
    assert sampling_seconds(four, Draws(40, 40, 50, 10.0))[1] == pytest.approx(100, rel=0.01)
    # A response that is longer than the rest together is waited for.
    assert sampling_seconds(four, Draws(9, 9, 50, 10.0))[1] == pytest.approx(50, rel=0.01)


def test_vllm_replaces_what_has_ended_as_far_as_its_cache_goes(run):
    sequence = run.shape.cache_bytes(2.0) * (16 + 10)
    weights = run.shape.parameters * 2.0
    share = (weights + 4.5 * sequence) / run.device.memory
    engine = Engine("vllm", "bfloat16", 2.0, memory_share=share, step_seconds=1.0)
    setup = replace(run, engine=engine)
    assert sampling_seconds(setup, Draws(40, 40, 50, 10.0))[1] == pytest.approx(100, rel=0.01)
    # A response that is longer than the rest together is waited for.
    assert sampling_seconds(setup, Draws(4, 4, 50, 10.0))[1] == pytest.approx(50, rel=0.01)


def test_many_sequences_are_bound_by_arithmetic(run):
    slow = replace(run.device, flops={"float32": 1e6})
    setup = replace(run, device=slow, engine=Engine("vllm", "bfloat16", 2.0))
    shape = setup.shape
    _, decode = sampling_seconds(setup, Draws(8, 8, 10, 10.0))
    each = 2 * (shape.matrices + shape.head) + 4 * shape.layers * shape.queries * (16 + 10 / 2)
    assert decode == pytest.approx(8 * 10 * each / 1e6)


def test_ranks_share_rollouts_and_rows(run):
    run = replace(run, device=replace(run.device, link=1e30))
    two = replace(run, training=replace(run.training, ranks=2))
    for name in ("prompts read", "forward and backward"):
        assert seconds(two, name) == pytest.approx(seconds(run, name) / 2)
    assert seconds(run, "tokens sampled") / 2 < seconds(two, "tokens sampled")
    assert seconds(two, "tokens sampled") < seconds(run, "tokens sampled")


def test_a_slow_link_is_waited_for(run):
    slow = replace(run.device, link=1.0)
    two = replace(run, device=slow, training=replace(run.training, ranks=2))
    weights = run.shape.parameters * 4.0
    assert seconds(two, "forward and backward") == pytest.approx(2 * weights / 2)
    shared = replace(two, training=replace(two.training, sharding=2))
    # Four micro-batches; weights are sent in bfloat16, gradients in float32.
    assert seconds(shared, "forward and backward") == pytest.approx(4 * 2 * weights / 2)


def test_transformers_gathers_shards_once_a_batch(run):
    slow = replace(run, device=replace(run.device, link=1.0))
    shared = replace(slow, training=replace(run.training, ranks=2, sharding=2))
    # Half of the weights over the link, as they are kept; two steps a batch.
    half = run.shape.parameters * 4.0 / 2
    assert seconds(shared, "weights to the engine") == pytest.approx(half / 2)
    assert seconds(slow, "weights to the engine") == 0
    # Tokens are sampled without the link.
    assert seconds(shared, "tokens sampled") < 1


def test_beyond_a_node_the_network_counts(run):
    assert run.device.between(8) == 450e9
    assert run.device.between(9) == 50e9


def test_scoring_passes_and_shares_are_proportional(run):
    half = replace(run.batch, scoring_passes=1.0, trained_share=0.5)
    whole = replace(run.batch, scoring_passes=3.0)
    assert seconds(run, "rows scored") == 0
    one, six = (seconds(replace(run, batch=b), "rows scored") for b in (half, whole))
    assert six == pytest.approx(6 * one)
    assert one > 0


def test_an_update_moves_gradients_parameters_and_state(run):
    assert seconds(run, "update") == pytest.approx(run.shape.parameters * 28 / 3.35e12)


def test_vllm_is_sent_the_weights_once_a_batch(run):
    assert seconds(run, "weights to the engine") == 0
    sent = replace(run, engine=Engine("vllm", number_bytes=2.0))
    both = run.shape.parameters * (2.0 + 4.0)
    assert sent.batch.steps == 2
    assert seconds(sent, "weights to the engine") == pytest.approx(both / 3.35e12 / 2)


def test_weights_on_their_way_to_an_engine_are_gathered_and_sent(run):
    slow = replace(run.device, link=1.0, network=1.0)
    here = replace(run, device=slow, engine=Engine("vllm", number_bytes=2.0))
    shared = replace(here, training=replace(run.training, ranks=2, sharding=2))
    elsewhere = replace(here, engine=Engine("vllm_server", number_bytes=2.0, servers=1))
    number = run.shape.parameters
    assert seconds(here, "weights to the engine") < 1
    # Half of the weights over the link, cast; all of them over the network; two steps a batch.
    assert seconds(shared, "weights to the engine") == pytest.approx(number * 2.0 / 2 / 2)
    assert seconds(elsewhere, "weights to the engine") == pytest.approx(number * 2.0 / 2)


def test_efficiency_divides(run):
    setup = replace(run, efficiency=Efficiency(0.5, 0.25))
    assert seconds(setup, "prompts read") == pytest.approx(2 * seconds(run, "prompts read"))
    assert seconds(setup, "update") == pytest.approx(4 * seconds(run, "update"))


def test_an_epoch_and_a_run_are_made_of_steps_evaluations_and_searches(run):
    schedule = replace(
        run.schedule,
        prompts=10,
        epochs=5,
        held_out=Draws(6, 6, 16, 16.0),
        search=Draws(30, 10, 16, 16.0),
        searches=2,
    )
    batch = replace(run.batch, sizes=BatchSizes(2, 4, 2, 4))
    plan = estimate(replace(run, schedule=schedule, batch=batch))
    evaluation, search = (p.seconds for p in plan.phases if p.per == "epoch")
    assert evaluation > 0
    assert plan.steps == 5
    assert plan.training_seconds == pytest.approx(5 * plan.step_seconds)
    assert plan.epoch_seconds == pytest.approx(plan.training_seconds + evaluation + search)
    expected = 5 * plan.training_seconds + 6 * evaluation + 2 * search
    assert plan.run_seconds == pytest.approx(expected)
    assert plan.device_hours == pytest.approx(expected / 3600)


def test_servers_devices_are_paid_for_and_sample_in_the_trainers_place(run):
    engine = Engine("vllm_server", "bfloat16", 2.0, servers=2, devices_per_server=3)
    setup = replace(run, engine=engine)
    assert setup.devices == 1 + 6
    one = replace(run, engine=Engine("vllm", "bfloat16", 2.0))
    assert seconds(setup, "prompts read") == pytest.approx(seconds(one, "prompts read") / 6)
    assert not {"engine's weights", "key-value cache"} & {
        item.name for item in estimate(setup).items
    }
