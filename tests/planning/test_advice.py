"""What is advised helps, in the order of what it costs, and ends in a run that fits."""

from dataclasses import replace

import pytest

from p2o.planning import Engine, estimate
from p2o.planning.advice import advise, changes, checkpointed, sharded, with_lora
from p2o.planning.examples import published, shapes


def plan(name="Qwen3-4B", ranks=8, **batch):
    setup = published(shapes()[name], ranks)
    return estimate(replace(setup, batch=replace(setup.batch, **batch)))


def test_a_run_that_fits_needs_no_advice():
    for fitting in (plan("Qwen2.5-0.5B"), advise(plan("Qwen3-4B"))[-1].plan):
        assert fitting.fits
        assert advise(fitting) == []


@pytest.mark.parametrize(("name", "ranks"), [("Qwen2.5-0.5B", 1), ("Qwen3-4B", 1), ("Qwen3-4B", 8)])
def test_each_step_helps_and_the_last_one_fits(name, ranks):
    start = plan(name, ranks, pass_tokens=128 * 16384, chunk_tokens=4096)
    assert not start.fits
    steps = advise(start)
    peaks = [start.peak, *(step.plan.peak for step in steps)]
    assert peaks == sorted(peaks, reverse=True)
    costs = [step.change.cost for step in steps]
    assert costs == sorted(costs)
    assert steps[-1].plan.fits
    assert not any(step.plan.fits for step in steps[:-1])


def test_cutting_work_up_comes_before_what_changes_what_is_learned():
    start = plan(pass_tokens=128 * 16384)
    settings = [step.change.setting for step in advise(start)]
    assert settings[0].startswith("module.pass_tokens=")
    assert sorted(settings[1:]) == [
        "model.gradient_checkpointing=true",
        "trainer=fsdp2 trainer.precision=32-true trainer.strategy.compute_dtype=bfloat16",
    ]


def test_what_turns_out_not_to_be_needed_is_left_out():
    start = plan()
    steps = advise(start)
    taken = [step.change for step in steps]
    assert len(taken) > 1
    for dropped in taken:
        setup = start.setup
        for change in taken:
            setup = setup if change is dropped else change.apply(setup)
        assert not estimate(setup).fits, dropped.setting


def test_low_rank_matrices_are_the_last_resort():
    assert (
        advise(plan("Qwen3-4B", 1))[-1].change.setting == "model/adapter=lora model.dtype=bfloat16"
    )


def test_what_cannot_fit_is_not_said_to():
    steps = advise(plan("Qwen2.5-32B", 1))
    assert steps
    assert not steps[-1].plan.fits


def test_a_cut_is_no_smaller_than_it_has_to_be():
    start = plan(pass_tokens=128 * 16384)
    cut = next(c for c in changes(start.setup) if c.setting.startswith("module.pass_tokens"))
    setup = cut.apply(start.setup)
    least = replace(start.setup, batch=replace(start.setup.batch, pass_tokens=16384))
    assert estimate(setup).peak <= estimate(least).peak + 0.01 * start.setup.device.memory
    # With checkpointing a pass of a few rows takes less than the engine does while it samples.
    setup = checkpointed(start.setup)
    cut = next(c for c in changes(setup) if c.setting.startswith("module.pass_tokens"))
    assert 1 < cut.apply(setup).batch.pass_rows < 128


def test_an_engine_without_room_is_given_more():
    setup = published(shapes()["Qwen2.5-0.5B"], 8)
    setup = replace(setup, training=replace(setup.training, checkpointing=True))
    short = estimate(replace(setup, engine=replace(setup.engine, memory_share=0.01)))
    assert not short.engine_fits
    steps = advise(short)
    assert steps[0].change.setting.startswith("rollout.memory_share=")
    assert steps[-1].plan.fits


def test_fewer_sequences_at_once_help_transformers():
    setup = published(shapes()["Qwen2.5-0.5B"], 1)
    training = replace(setup.training, checkpointing=True)
    start = estimate(replace(setup, training=training, engine=Engine(max_rows=256)))
    assert start.peak_moment == "prefill"
    assert not start.fits
    assert advise(start)[0].change.setting.startswith("rollout.max_batch_size=")


def test_changes_are_what_they_say():
    setup = published(shapes()["Qwen3-4B"], 8)
    spread = sharded(setup).training
    assert (spread.sharding, spread.autocast, spread.stream_bytes) == (8, False, 2)
    low = with_lora(setup)
    assert low.training.trained == setup.shape.lora_parameters(16)
    assert low.training.weight_bytes < 0.52 * setup.training.weight_bytes
    assert low.engine.number_bytes == 2
    assert checkpointed(setup) == replace(
        setup, training=replace(setup.training, checkpointing=True)
    )
    kept = replace(setup, training=replace(low.training, checkpointing=True, sharding=8))
    assert {change.cost for change in changes(kept)} == {0}
