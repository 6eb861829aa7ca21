"""The search with gepa, on synthetic samples that a template with the right word solves."""

import random
import re

import pytest

from p2o.errors import UserError
from p2o.evolution.gepa import GepaEvolution
from p2o.evolution.strategies import draw_without_replacement
from p2o.prompts.assignment import DiverseAssignment
from p2o_callbacks.protocols import TemplateTrial

WORDS = ["red", "green", "blue", "grey", "pink", "gold"]
HARD = [f"{family}-{number:02d}" for family in ("red", "green", "blue") for number in range(16)]


class World:
    """Samples of a family are solved by templates with its word. Remembers who asked what when."""

    def __init__(self, solvable=True):
        self.events, self.solvable = [], solvable

    def evaluate(self, pairs):
        self.events.append(("evaluate", list(pairs)))
        return [
            TemplateTrial(
                float(self.solvable and sample.split("-")[0] in template.split()),
                sample,
                "response",
                "feedback",
            )
            for sample, template in pairs
        ]

    @property
    def spent(self):
        return sum(len(content) for kind, content in self.events if kind == "evaluate")


class Writer:
    """Adds or swaps a word; remembers its calls in the world's events."""

    def __init__(self, world, fails=False):
        self.world, self.fails = world, fails

    def bind(self, engine, renderer):
        raise AssertionError("evolution does not bind")

    def reflect(self, requests) -> list[str | None]:
        self.world.events.append(("reflect", list(requests)))
        if self.fails:
            return [None] * len(requests)
        written: list[str | None] = []
        for request in requests:
            generator = random.Random(request.seed)
            kept = request.template.split()[: generator.randrange(2)]
            written.append(" ".join([*kept, generator.choice(WORDS)]))
        return written


def search(world, *, seed=0, hard=HARD, writer=None, report=None, **options):
    options = {"budget": 400, "width": 4, "dev_size": 18, "minimum": 4, **options}
    evolution = GepaEvolution(writer or Writer(world), DiverseAssignment(), **options)
    return evolution.evolve(
        hard,
        world.evaluate,
        group_size=6,
        seed=seed,
        report=report or (lambda progress: None),
    )


def test_finds_a_template_for_every_family_and_deals_them_out():
    found = search(World())
    pool = found.pool
    words = {word for index in pool.cover for word in pool.templates[index].text.split()}
    assert {"red", "green", "blue"} <= words
    assert set(pool.assignment) == set(HARD)
    assert {len(drawn) for drawn in pool.assignment.values()} == {6}


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("width", [1, 4])
@pytest.mark.parametrize("budget", [60, 61, 97, 400])
def test_what_is_reported_is_what_was_spent_and_never_more_than_the_budget(seed, width, budget):
    world = World()
    found = search(world, seed=seed, width=width, budget=budget)
    assert found.metric_calls == world.spent
    assert world.spent <= budget


def test_a_stage_is_one_engine_call_and_one_batch_of_reflections():
    world = World()
    found = search(
        world, width=4, budget=600, dev_size=24, hard=[*HARD, *(f"x-{n}" for n in range(9))]
    )
    kinds = [kind for kind, _ in world.events]
    # The seed; then parents, one batch of reflections, children, and those accepted. An iteration
    # whose parents solve all of their samples ends there.
    initials = "".join(kind[0] for kind in kinds)
    assert re.fullmatch(r"e(e(ree?)?)*", initials)
    assert kinds.count("reflect") <= found.iterations
    assert kinds.count("evaluate") <= 1 + 3 * found.iterations
    assert max(len(content) for kind, content in world.events if kind == "reflect") > 1


def test_templates_know_their_parents_and_their_dev_scores():
    found = search(World())
    dev = set(found.pool.templates[0].dev_scores)
    assert found.pool.templates[0].text == ""
    assert len(dev) == 18
    for index, template in enumerate(found.pool.templates):
        assert set(template.dev_scores) == dev <= set(HARD)
        assert template.score == pytest.approx(sum(template.dev_scores.values()) / len(dev))
        assert all(parent < index for parent in template.parents)
        assert bool(template.parents) == (index > 0)


def test_the_same_seed_finds_the_same_in_any_order_of_the_hard_set():
    first, again = search(World(), seed=3), search(World(), seed=3, hard=HARD[::-1])
    assert first == again
    assert search(World(), seed=4).pool != first.pool


def test_too_few_hard_samples_cost_nothing():
    world = World()
    found = search(world, hard=HARD[:3])
    assert not world.events
    assert not found.pool.templates
    assert found.metric_calls == 0


def test_a_world_that_no_template_solves_ends_with_the_budget_and_an_empty_cover():
    world = World(solvable=False)
    found = search(world)
    assert not found.pool.cover
    assert not found.pool.assignment
    assert world.spent <= 400


def test_failed_reflections_cost_their_minibatches_and_end_nothing():
    world = World()
    found = search(world, writer=Writer(world, fails=True), budget=100)
    assert [template.text for template in found.pool.templates] == [""]
    assert found.iterations > 3


def test_the_search_ends_when_every_dev_sample_is_solved():
    world = World()
    red = [f"red-{number:02d}" for number in range(24)]
    found = search(world, hard=red, budget=10_000)
    assert found.pool.cover
    assert world.spent < 2000


def test_progress_never_falls_and_names_the_budget():
    seen = []
    search(World(), report=seen.append)
    assert len(seen) > 5
    assert {progress.budget for progress in seen} == {400}
    calls = [progress.metric_calls for progress in seen]
    assert calls == sorted(calls)
    assert [p.best_score for p in seen] == sorted(p.best_score for p in seen)
    assert seen[-1].pool_size > 1


@pytest.mark.parametrize("budget", [1, 18, 30])
def test_a_budget_too_small_for_one_accepted_proposal_spends_nothing(budget):
    world = World()
    found = search(world, budget=budget)
    assert world.spent == 0
    assert not found.pool.templates


def test_gepa_writes_no_files_and_prints_nothing(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    search(World())
    assert not list(tmp_path.iterdir())
    assert capfd.readouterr() == ("", "")


def test_draws_without_replacement_follow_the_weights():
    generator = random.Random(0)
    draws = [draw_without_replacement({1: 1, 2: 8, 3: 1}, 1, generator)[0] for _ in range(2000)]
    assert 0.75 < draws.count(2) / 2000 < 0.85
    for count in range(1, 5):
        drawn = draw_without_replacement({1: 1, 2: 8, 3: 1}, count, generator)
        assert len(drawn) == len(set(drawn)) == min(count, 3)


@pytest.mark.parametrize(
    "setting", [{"width": 0}, {"minimum": 1}, {"budget": "huge"}, {"dev_size": 0}]
)
def test_settings_that_cannot_work_are_refused(setting):
    with pytest.raises(UserError, match=f"evolution.{next(iter(setting))}"):
        search(World(), **setting)
