"""A search that brings nothing new ends, and pays for nothing twice."""

from collections import Counter
from dataclasses import replace

import pytest

from p2o.hints.insertion import LONGEST
from tests.evolution.world import HARD, World, Writer, has_word, search

NONE = [f"none-{number:02d}" for number in range(48)]


class Always(Writer):
    """Writes the same, whatever it is shown."""

    def __init__(self, world, text):
        super().__init__(world)
        self.text = text

    def write(self, request):
        return self.text


NO_TEMPLATE = {
    "failed": None,
    "empty": "",
    "white space": " \n",
    "too long": "red" + " red" * LONGEST,
    "half a surrogate pair": "half \ud800 a pair",
}


@pytest.mark.parametrize("greedy", [True, False])
@pytest.mark.parametrize("text", NO_TEMPLATE.values(), ids=NO_TEMPLATE)
def test_reflections_that_write_no_template_end_a_search_soon(greedy, text, caplog):
    world = World(greedy=greedy)
    found = search(world, writer=Always(world, text), budget=10_000)
    assert [template.text for template in found.pool.templates] == [""]
    assert found.iterations == 5
    assert found.metric_calls == world.spent == 18 + 5 * 3
    with caplog.at_level("INFO"):
        search(World(), writer=Always(World(), text), budget=10_000, patience=2)
    assert "ended at 24 of 10000 metric calls: 2 iterations in a row" in caplog.text


def test_a_template_in_the_pool_is_not_tried_again_as_a_child():
    world = World()

    class Copyist(Writer):
        def write(self, request):
            return f" {request.template} " if request.template else "red"

    found = search(world, writer=Copyist(world), budget=10_000)
    assert [template.text for template in found.pool.templates] == ["", "red"]
    dev = set(found.pool.templates[0].dev_scores)
    proposals = 1 + sum(
        kind == "evaluate" and {template for _, template in pairs} == {"red"}
        for kind, pairs in world.events
    )
    assert Counter(template for s, template in world.pairs if s in dev) == {"": 18, "red": 18}
    assert proposals < 20
    assert world.spent < 200


@pytest.mark.parametrize("greedy", [True, False])
def test_a_template_that_gains_nothing_is_given_up_after_a_few_minibatches(greedy):
    world = World(greedy=greedy)
    found = search(world, writer=Always(world, "pink"), budget=10_000)
    # Ten minibatches are all of the train samples; then five iterations without a proposal.
    bare = 18 + 10 * 3 + (0 if greedy else 5 * 3)
    assert Counter(template for _, template in world.pairs) == {"": bare, "pink": 10 * 3}
    assert found.metric_calls == world.spent


@pytest.mark.parametrize("seed", range(3))
def test_a_greedy_search_asks_for_no_result_twice(seed):
    world = World(greedy=True)
    found = search(world, hard=[*HARD, *NONE], seed=seed, budget=900)
    assert max(Counter(world.pairs).values()) == 1
    assert found.metric_calls == world.spent
    assert {"red", "green", "blue"} <= {
        word for i in found.pool.cover for word in found.pool.templates[i].text.split()
    }


def test_a_search_that_samples_tries_anew():
    world = World()
    search(world, hard=[*HARD, *NONE], budget=900, writer=Writer(world, unique=True))
    assert max(Counter(world.pairs).values()) > 1


def test_a_greedy_search_whose_parents_solve_every_train_sample_looks_once_at_each_and_ends():
    class First(Writer):
        def write(self, request):
            return "red green blue"

    world = World(greedy=True)
    found = search(world, writer=First(world), budget=10_000)
    assert [template.text for template in found.pool.templates] == ["", "red green blue"]
    assert world.spent < 2 * len(HARD) + 5
    assert max(Counter(world.pairs).values()) == 1


def test_a_verdict_that_failed_is_asked_for_again():
    class Flaky(World):
        """One answer in four could not be verified."""

        tried = 0

        def try_out(self, sample, template):
            self.tried += 1
            return replace(super().try_out(sample, template), repeatable=self.tried % 4 > 0)

    world = Flaky(has_word, greedy=True)
    found = search(world, writer=Always(world, None), budget=300, patience=60)
    assert found.metric_calls == world.spent
    assert max(Counter(world.pairs).values()) > 1
