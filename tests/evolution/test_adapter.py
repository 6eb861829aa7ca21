"""What a batch of evaluations tries, and what it is charged for."""

from collections import Counter

import pytest

from p2o.evolution.adapter import COMPONENT, TemplateAdapter
from p2o_callbacks import TemplateTrial
from tests.evolution.world import World, search

PAIR_TWICE = [({COMPONENT: "go"}, ["a", "b"]), ({COMPONENT: "go"}, ["b", "c"])]
"""Candidates and minibatches; one pair is asked for twice."""


class Numbered:
    """Tries pairs, each with a score of its own."""

    def __init__(self, repeatable=True, failing=()):
        self.calls, self.repeatable, self.failing = [], repeatable, failing

    def __call__(self, pairs):
        self.calls.append(list(pairs))
        tried = sum(map(len, self.calls)) - len(pairs)
        return [
            TemplateTrial(
                float(number),
                None if sample in self.failing else False,
                *(sample, "response", "feedback"),
                self.repeatable and sample not in self.failing,
            )
            for number, (sample, _) in enumerate(pairs, tried)
        ]


def evaluated(engine, before):
    """Scores and metric calls of each part of a batch in which a pair stands twice."""
    adapter = TemplateAdapter(engine)
    if before:
        adapter.evaluate(["z"], {COMPONENT: ""})
        engine.calls.clear()
    batches = adapter.batch_evaluate(PAIR_TWICE)
    return [each.scores for each in batches], [each.num_metric_calls for each in batches]


@pytest.mark.parametrize("failing", [(), ("b",)], ids=["all judged", "one verifier failed"])
def test_a_pair_that_a_batch_has_twice_is_tried_and_charged_once(failing):
    engine = Numbered(failing=failing)
    assert evaluated(engine, before=True) == ([[0.0, 1.0], [1.0, 2.0]], [2, 1])
    assert engine.calls == [[("a", "go"), ("b", "go"), ("c", "go")]]


def test_what_may_come_out_otherwise_is_tried_each_time_that_it_is_asked_for():
    engine = Numbered(repeatable=False)
    assert evaluated(engine, before=True) == ([[0.0, 1.0], [2.0, 3.0]], [2, 2])
    assert engine.calls == [[("a", "go"), ("b", "go"), ("b", "go"), ("c", "go")]]


@pytest.mark.parametrize("repeatable", [True, False])
def test_before_there_was_a_trial_each_that_is_asked_for_is_made(repeatable):
    engine = Numbered(repeatable)
    assert evaluated(engine, before=False) == ([[0.0, 1.0], [2.0, 3.0]], [2, 2])
    assert engine.calls == [[("a", "go"), ("b", "go"), ("b", "go"), ("c", "go")]]


@pytest.mark.parametrize("seed", range(3))
def test_a_greedy_search_with_a_filled_width_pays_for_no_pair_twice(seed):
    world = World(greedy=True)
    found = search(world, seed=seed, width=8, fill_width=True)
    assert found.metric_calls == world.spent
    assert max(Counter(world.pairs).values()) == 1
