"""Reflections go through the train samples."""

import random
from collections import Counter

from gepa.core.data_loader import ensure_loader
from hypothesis import given
from hypothesis import strategies as st

from p2o.evolution.minibatches import Minibatches
from tests.evolution.world import WORDS, World, Writer, search


@given(st.integers(1, 12), st.integers(1, 40), st.integers(1, 30), st.integers(0, 99))
def test_each_sample_is_taken_once_a_round_and_never_twice_in_a_minibatch(
    size, samples, number, seed
):
    size = min(size, samples)
    sampler, loader = Minibatches(size, random.Random(seed)), ensure_loader(list(range(samples)))
    drawn = [sampler.next_minibatch_ids(loader, None) for _ in range(number)]
    assert all(len(batch) == len(set(batch)) == size for batch in drawn)
    stream = [sample for batch in drawn for sample in batch]
    for start in range(0, len(stream), samples):
        chunk = stream[start : start + samples]
        assert len(set(chunk)) == len(chunk)
    assert max(Counter(stream).values()) - min(Counter(stream).values()) <= 1


def test_rounds_differ_and_a_seed_repeats_them():
    def rounds(seed):
        sampler, loader = Minibatches(4, random.Random(seed)), ensure_loader(list(range(40)))
        stream = [s for _ in range(20) for s in sampler.next_minibatch_ids(loader, None)]
        return stream[:40], stream[40:]

    first, second = rounds(0)
    assert first != second
    assert rounds(0) == (first, second)
    assert rounds(1) != (first, second)


def tried_by_parents(world):
    """Train samples in order: what parents were tried on just before each batch of reflections."""
    before = zip(world.events, world.events[1:], strict=False)
    return [sample for (_, pairs), (kind, _) in before if kind == "reflect" for sample, _ in pairs]


def test_a_wide_search_sees_no_train_sample_twice_before_it_has_seen_all():
    families = [*WORDS, *(f"rare{number}" for number in range(10))]
    hard = [f"{family}-{number:03d}" for family in families for number in range(24)]
    world = World()
    search(world, hard=hard, writer=Writer(world, unique=True), width=16, dev_size=60, budget=2500)
    samples, train = tried_by_parents(world), len(hard) - 60
    assert len(samples) > 0.6 * train
    assert len(set(samples[:train])) == min(train, len(samples))
