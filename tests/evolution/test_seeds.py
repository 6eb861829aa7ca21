"""A search that starts from the hints of an earlier run."""

import json

import pytest

from p2o.evolution.adapter import COMPONENT
from p2o.evolution.reflector import SEED_TRIES, Reflector
from p2o.hints.pool_file import Origin, PooledHint, PoolFile
from p2o.hints.pooling import write_pool
from p2o.prompt import hint_id
from tests.evolution.world import World, Writer, search


@pytest.fixture
def earlier(tmp_path):
    """Writes a pool whose hints claim to be perfect."""

    def write(*texts):
        origin = Origin(name="another/model", sha256="0" * 64)
        hints = tuple(
            PooledHint(id=hint_id(text), text=text, score=1.0, tried=9, solved=9, in_use=True)
            for text in texts
        )
        write_pool(tmp_path / "pool.json", PoolFile(model=origin, data=origin, hints=hints))
        return str(tmp_path / "pool.json")

    return write


def test_hints_of_an_earlier_run_are_tried_before_the_backend_is_asked(earlier):
    world = World()
    found = search(world, seed_pool=earlier("red green blue", "grey pink"))
    kinds = [kind for kind, _ in world.events]
    first = kinds.index("reflect") if "reflect" in kinds else len(kinds)
    tried = [text for _, pairs in world.events[:first] for _, text in pairs if text]
    assert set(tried) >= {"red green blue"}
    best = max(found.pool.templates, key=lambda template: template.score or 0)
    assert best.text == "red green blue"
    assert best.score == 1
    assert found.metric_calls == world.spent


def test_only_what_is_scored_again_counts_as_evidence(earlier):
    world = World()
    found = search(world, seed_pool=earlier("grey pink"))
    assert "grey pink" not in {template.text for template in found.pool.templates}
    tries = [pair for pair in world.pairs if pair[1] == "grey pink"]
    assert len(tries) == 3 * SEED_TRIES


def test_without_such_a_file_nothing_changes(earlier):
    one, other = World(), World()
    assert search(one) == search(other, seed_pool=None)
    assert one.events == other.events


def test_a_hint_that_gives_an_answer_away_is_not_taken_over(earlier):
    class Answers(World):
        def try_out(self, sample, template):
            trial = super().try_out(sample, template)
            return type(trial)(**{**trial.__dict__, "answers": ("1024",)})

    world = Answers()
    found = search(world, seed_pool=earlier("red green blue 1024", "red green blue"))
    assert not any("1024" in text for _, text in world.pairs)
    assert found.leaks == 1


@pytest.mark.slow
def test_a_run_leaves_a_pool_from_which_the_next_one_starts(p2o_train, tmp_path):
    sizes = ("data.source.train=32", "data.source.held_out=8", "trainer.max_epochs=2")
    first = p2o_train(*sizes, "hydra.run.dir=first")
    assert first.returncode == 0, first.stderr
    path = tmp_path / "first" / "evolution" / "pool.json"
    left = json.loads(path.read_text())
    assert (left["format"], left["model"]["name"]) == ("p2o-pool", "embedded:digits")
    assert len(left["model"]["sha256"]) == len(left["data"]["sha256"]) == 64
    epoch = json.loads((path.parent / "epoch_0001.json").read_text())
    texts = [template["text"] for template in epoch["templates"] if template["text"]]
    assert [hint["text"] for hint in left["hints"]] == texts
    second = p2o_train(
        *sizes, "hydra.run.dir=second", f"evolution.evolver.seed_pool={path}", "seed=1"
    )
    assert second.returncode == 0, second.stderr
    right = json.loads((tmp_path / "second" / "evolution" / "pool.json").read_text())
    assert right["model"] == left["model"]
    assert right["data"]["sha256"] != left["data"]["sha256"]


def texts_given(reflector, jobs):
    given = reflector.reflect_many([({COMPONENT: ""}, {COMPONENT: []}, [COMPONENT])] * jobs)
    return [proposal.new_texts.get(COMPONENT) for proposal, _ in given]


def test_a_hint_of_an_earlier_run_waits_for_its_second_try_until_the_first_is_judged():
    world = World()
    writer = Writer(world, fails=lambda request: True)
    reflector = Reflector(writer, 0, first=("one", "two", "three"))
    # The fourth job has nothing to try, and asks the backend.
    assert texts_given(reflector, 4) == ["one", "two", "three", None]
    assert [len(asked) for _, asked in world.events] == [1]
    reflector.on_valset_evaluated({"candidate": {COMPONENT: "two"}})
    assert texts_given(reflector, 1) == ["one"]
    assert texts_given(reflector, 3) == ["three", None, None]
    assert texts_given(reflector, 1) == [None]


def test_those_that_wait_keep_their_order():
    reflector = Reflector(Writer(World()), 0, first=("one", "two"))
    assert texts_given(reflector, 1) == ["one"]
    assert texts_given(reflector, 3)[:2] == ["two", "one"]
    assert texts_given(reflector, 1) == ["two"]
