"""The search with gepa, on synthetic samples that a template with the right word solves."""

import json
import os
import random
import subprocess
import sys
from types import SimpleNamespace

import pytest
from gepa.proposer.base import CandidateProposal, SubsampleEvaluation
from hypothesis import given, settings
from hypothesis import strategies as st

from p2o.errors import UserError
from p2o.evolution.gepa import GepaEvolution
from p2o.evolution.stopping import Budget
from p2o.evolution.strategies import (
    AffordableImprovements,
    JudgedImprovement,
    ParetoBeam,
    draw_without_replacement,
)
from p2o.hints.assignment import DiverseAssignment
from p2o_callbacks import Evolution, EvolutionProgress, PromptPool, TemplateTrial
from tests.evolution import world as world_file
from tests.evolution.world import HARD, WORDS, World, Writer, has_word, search


def test_finds_a_template_for_every_family_and_deals_them_out():
    found = search(World())
    pool = found.pool
    words = {word for index in pool.cover for word in pool.templates[index].text.split()}
    assert {"red", "green", "blue"} <= words
    assert set(pool.assignment) == set(HARD)
    assert {len(drawn) for drawn in pool.assignment.values()} == {6}


def test_what_was_found_is_dealt_out_to_later_hard_samples():
    world = World()
    evolver = GepaEvolution(
        Writer(world), DiverseAssignment(), budget=400, width=4, dev_size=18, minimum=4
    )
    pool = evolver.evolve(
        HARD, world.evaluate, group_size=6, seed=3, report=lambda progress: None
    ).pool
    assert evolver.deal(pool, HARD, group_size=6, seed=3) == pool.assignment
    later = [*HARD[::2], *(f"new-{number}" for number in range(60))]
    dealt = evolver.deal(pool, later, group_size=6, seed=3)
    assert set(dealt) == set(later)
    assert all(dealt[sample] == pool.assignment[sample] for sample in HARD[::2])
    drawn = {index for sample in later[-60:] for index in dealt[sample]}
    assert drawn == set(pool.cover)
    assert evolver.deal(pool, [], group_size=6, seed=3) == {}


def parts(settings):
    """Size of the dev part, and the metric calls that the seed and one acceptance take."""
    samples, dev_size = settings["samples"], settings["dev_size"]
    dev = samples // 2 if samples < 1.5 * dev_size else dev_size
    return dev, 2 * dev + 2 * min(settings["minibatch_size"], samples - dev)


@settings(max_examples=150)
@given(
    st.fixed_dictionaries(
        {
            "samples": st.integers(2, 60),
            "budget": st.integers(20, 500),
            "width": st.integers(1, 9),
            "minibatch_size": st.integers(1, 5),
            "dev_size": st.integers(1, 15),
            "fill_width": st.booleans(),
        }
    ),
    st.sampled_from([0.0, 0.1, 0.5]),
    st.sampled_from([0.0, 0.3, 1.0]),
    st.integers(0, 99),
)
def test_what_is_reported_is_what_was_spent_and_never_more_than_the_budget(
    setting, luck, failures, seed
):
    chance = random.Random(seed)

    def score(sample, template):
        return float(not sample.endswith(("0", "3", "6")) and chance.random() < luck)

    world, seen = World(score), []
    writer = Writer(world, lambda request: chance.random() < failures, unique=True)
    options = {name: value for name, value in setting.items() if name != "samples"}
    hard = [f"red-{number}" for number in range(setting["samples"])]
    dev, smallest = parts(setting)
    if setting["budget"] < smallest:
        with pytest.raises(UserError, match=rf"take {smallest} metric calls"):
            search(world, hard=hard, writer=writer, seed=seed, minimum=len(hard), **options)
        return
    options |= {"minimum": 2, "patience": 1000}
    found = search(world, hard=hard, writer=writer, seed=seed, report=seen.append, **options)
    assert found.metric_calls == world.spent == seen[-1].metric_calls
    assert world.spent <= setting["budget"]
    # It ends when what is left cannot pay for one more proposal and its acceptance.
    assert world.spent > setting["budget"] - (smallest - dev)


@pytest.mark.slow
@pytest.mark.parametrize("width", [1, 4, 16])
def test_a_wide_front_whose_children_all_gain_does_not_break_the_budget(width):
    hard = [f"{family}-{number}" for family in (*WORDS, "none") for number in range(12)]

    class Teacher(Writer):
        """Writes a word that solves the minibatch."""

        def write(self, request):
            self.written += 1
            return f"{request.records[0]['Inputs'].split('-')[0]} version-{self.written}"

    for budget in range(60, 360, 3):
        world = World()
        found = search(
            world, writer=Teacher(world), hard=hard, width=width, budget=budget, seed=budget
        )
        assert found.metric_calls == world.spent <= budget
        assert world.spent > budget - 18 - 6


@pytest.mark.parametrize("width", [1, 4, 16])
@pytest.mark.parametrize("seed", range(3))
def test_each_stage_is_one_engine_call_and_one_batch_of_reflections(width, seed):
    world, size = World(), 3
    hard = [f"{family}-{number}" for family in (*WORDS, "none") for number in range(12)]
    found = search(
        world, writer=Writer(world, unique=True), hard=hard, seed=seed, width=width, budget=900
    )
    known, dev = {""}, list(found.pool.templates[0].dev_scores)
    left = list(world.events)
    assert left.pop(0) == ("evaluate", [(sample, "") for sample in dev])
    iterations, widest = 0, 0
    while left:
        iterations += 1
        kind, pairs = left.pop(0)
        parents = batches(pairs, size)
        assert kind == "evaluate"
        assert len(parents) == len({template for template, _ in parents}) <= width
        assert {template for template, _ in parents} <= known
        assert not {sample for _, samples in parents for sample in samples} & set(dev)
        widest = max(widest, len(parents))
        # A parent that solves all of its samples has nothing to learn from them.
        unsolved = [
            (template, samples)
            for template, samples in parents
            if not all(world.score(sample, template) for sample in samples)
        ]
        if not unsolved:
            continue
        kind, requests = left.pop(0)
        assert kind == "reflect"
        assert [
            (request.template, [record["Inputs"] for record in request.records])
            for request in requests
        ] == unsolved
        kind, pairs = left.pop(0)
        children = batches(pairs, size)
        assert kind == "evaluate"
        assert [samples for _, samples in children] == [samples for _, samples in unsolved]
        gains = [
            child
            for (child, samples), (parent, _) in zip(children, unsolved, strict=True)
            if sum(world.score(sample, child) - world.score(sample, parent) for sample in samples)
            > 0
        ]
        if gains and left and {sample for sample, _ in left[0][1]} == set(dev):
            accepted = batches(left.pop(0)[1], len(dev))
            assert all(samples == dev for _, samples in accepted)
            new = {template for template, _ in accepted}
            assert new == set(gains) if left else new <= set(gains)
            known |= new
        else:
            assert not gains
    assert iterations == found.iterations
    assert known == {template.text for template in found.pool.templates}
    assert widest == min(width, widest) > (width > 1)


def batches(pairs, size):
    """(template, samples) for each run of `size` pairs."""
    assert len(pairs) % size == 0
    cut = [pairs[start : start + size] for start in range(0, len(pairs), size)]
    assert all(len({template for _, template in part}) == 1 for part in cut)
    return [(part[0][1], [sample for sample, _ in part]) for part in cut]


def test_every_reflection_of_a_search_has_a_seed_of_its_own():
    world = World()
    search(world, hard=[*HARD, *(f"none-{number}" for number in range(16))])
    seeds = [r.seed for kind, content in world.events if kind == "reflect" for r in content]
    assert len(set(seeds)) == len(seeds) > 10


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


@pytest.mark.slow
def test_the_order_of_hashes_does_not_matter():
    program = f"""
import json, runpy
made = runpy.run_path({world_file.__file__!r})
print(json.dumps(made["search"](made["World"]()).pool.state_dict()))
"""
    # Here hashes of strings are random, there they are not.
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONHASHSEED": "1"},
        check=True,
        capture_output=True,
        text=True,
    )
    assert json.loads(done.stdout) == search(World()).pool.state_dict()


def test_the_search_leaves_the_global_generator_alone():
    random.seed(5)
    before = random.getstate()
    search(World())
    assert random.getstate() == before


def test_too_few_hard_samples_cost_nothing():
    world = World()
    found = search(world, hard=HARD[:3])
    assert not world.events
    assert not found.pool.templates
    assert found.metric_calls == 0


def test_a_world_that_no_template_solves_ends_with_the_budget_and_an_empty_cover():
    world = World(score=lambda sample, template: 0.0)
    found = search(world, writer=Writer(world, unique=True))
    assert [template.text for template in found.pool.templates] == [""]
    assert not found.pool.cover
    assert not found.pool.assignment
    assert 370 < world.spent == found.metric_calls <= 400


def test_templates_that_gain_but_solve_nothing_are_kept_for_the_record_and_cover_nothing():
    world = World(score=lambda sample, template: has_word(sample, template) / 2)
    found = search(world)
    assert len(found.pool.templates) > 1
    assert max(template.score or 0.0 for template in found.pool.templates) > 0
    assert not found.pool.cover
    assert not found.pool.assignment


def test_where_some_reflections_fail_the_others_are_used():
    world = World()
    odd = Writer(world, lambda request: request.seed % 2 == 0)
    found = search(world, writer=odd, seed=1)
    asked = sum(len(content) for kind, content in world.events if kind == "reflect")
    assert 0 < odd.written < asked
    assert found.pool.cover
    assert None not in {template.text for template in found.pool.templates}


@pytest.mark.parametrize("broken", ["raises", "too few"])
def test_a_broken_reflection_ends_the_search_at_once_and_is_named(broken):
    world = World()

    class Broken(Writer):
        def reflect(self, requests):
            written = super().reflect(requests)
            if broken == "raises":
                raise RuntimeError("out of memory")
            return written[1:]

    error, match = (RuntimeError, "memory") if broken == "raises" else (ValueError, "zip")
    with pytest.raises(error, match=match):
        search(world, writer=Broken(world))
    assert [kind for kind, _ in world.events] == ["evaluate", "evaluate", "reflect"]


def test_an_error_of_the_engine_ends_the_search():
    class Broken(World):
        def evaluate(self, pairs):
            if self.events:
                raise RuntimeError("out of memory")
            return super().evaluate(pairs)

    with pytest.raises(RuntimeError, match="out of memory"):
        search(Broken())


def test_progress_never_falls_and_names_the_budget():
    seen, world = [], World()
    spent = []

    def report(progress):
        seen.append(progress)
        spent.append(world.spent)

    found = search(world, report=report)
    assert len(seen) > 5
    assert seen[0] == EvolutionProgress(18, 400, 0.0, 1)
    assert {progress.budget for progress in seen} == {400}
    calls = [progress.metric_calls for progress in seen]
    assert calls == sorted(calls)
    assert all(call <= made for call, made in zip(calls, spent, strict=True))
    assert [p.best_score for p in seen] == sorted(p.best_score for p in seen)
    sizes = [progress.pool_size for progress in seen]
    assert sizes == sorted(sizes)
    assert seen[-1] == EvolutionProgress(
        found.metric_calls,
        400,
        max(template.score or 0.0 for template in found.pool.templates),
        len(found.pool.templates),
    )


@pytest.mark.parametrize("budget", [18, 30, 41])
def test_a_budget_too_small_for_this_hard_set_spends_nothing(budget, caplog):
    world = World()
    assert search(world, budget=budget) == Evolution(PromptPool())
    assert world.spent == 0
    assert f"budget={budget}: " in caplog.text
    assert "take 42; no search" in caplog.text


def test_the_smallest_budget_that_works_is_enough_for_one_accepted_template():
    world = World()

    class Lucky(Writer):
        def write(self, request):
            return "red green blue"

    found = search(world, writer=Lucky(world), budget=42)
    assert found.metric_calls == 42
    assert [template.text for template in found.pool.templates] == ["", "red green blue"]


@pytest.mark.parametrize(("budget", "minimum"), [(7, 4), (41, 36), (41, 1000)])
def test_a_budget_too_small_for_any_hard_set_is_refused(budget, minimum):
    with pytest.raises(UserError, match=rf"budget={budget}: .* take {budget + 1} "):
        search(World(), budget=budget, minimum=minimum)


def test_gepa_writes_no_files_and_prints_nothing(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    search(World())
    assert not list(tmp_path.iterdir())
    assert capfd.readouterr() == ("", "")


weights_strategy = st.dictionaries(st.integers(0, 50), st.integers(1, 9), max_size=8)


@given(weights_strategy, st.integers(0, 10), st.integers(0, 5))
def test_draws_are_without_replacement_and_do_not_depend_on_the_order_of_weights(
    weights, count, seed
):
    drawn = draw_without_replacement(weights, count, random.Random(seed))
    assert len(drawn) == len(set(drawn)) == min(count, len(weights))
    assert set(drawn) <= set(weights)
    if len(weights) <= count:
        assert drawn == sorted(weights)
    turned = dict(reversed(weights.items()))
    assert draw_without_replacement(turned, count, random.Random(seed)) == drawn


def test_draws_follow_the_weights():
    generator = random.Random(0)
    weights = {1: 1, 2: 8, 3: 1}
    draws = [draw_without_replacement(weights, 2, generator) for _ in range(2000)]
    assert 0.77 < sum(drawn[0] == 2 for drawn in draws) / 2000 < 0.83
    # After one of weight 1 the rest weigh 8 and 1.
    assert 0.96 < sum(2 in drawn for drawn in draws) / 2000 < 0.995
    assert weights == {1: 1, 2: 8, 3: 1}


class Trainset:
    def fetch(self, ids):
        return [f"sample-{number}" for number in ids]


class Sampler:
    def __init__(self):
        self.made = 0

    def next_minibatch_ids(self, trainset, state):
        self.made += 1
        return [self.made] * 3


def state_with(fronts):
    """A search with 10 candidates, of which `fronts` says who is best on which dev sample."""
    return SimpleNamespace(
        get_pareto_front_mapping=lambda: fronts,
        per_program_tracked_scores=[0.1 * number for number in range(10)],
        program_candidates=[{"template": f"text {number}"} for number in range(10)],
    )


def take_parents(fronts, width, spent=0, calls=1000, seed=0, fill=False):
    beam = ParetoBeam(width, Budget(calls, 3, 10), random.Random(seed), fill)
    beam.budget.spent = spent
    tasks = beam.sample_tasks(state_with(fronts), None, Sampler(), Trainset())  # type: ignore[arg-type]
    assert [task.minibatch_ids for task in tasks] == [[n + 1] * 3 for n in range(len(tasks))]
    assert all(task.parent_candidate == {"template": f"text {task.parent_idx}"} for task in tasks)
    return [task.parent_idx for task in tasks]


FRONTS = {sample: {sample} for sample in range(8)}


def test_the_beam_takes_the_whole_front_when_it_is_no_larger_than_the_width():
    assert take_parents(FRONTS, width=8) == take_parents(FRONTS, width=16) == list(range(8))


@pytest.mark.parametrize("seed", range(5))
def test_the_beam_takes_as_many_as_it_is_wide_and_none_twice(seed):
    parents = take_parents(FRONTS, width=5, seed=seed)
    assert len(parents) == len(set(parents)) == 5


def test_a_filled_beam_takes_the_parents_of_a_small_front_in_turn():
    assert take_parents({0: {0}, 1: {1}, 2: {2}}, width=8, fill=True) == [0, 1, 2, 0, 1, 2, 0, 1]
    assert take_parents({0: {0}}, width=8, calls=10 + 6 * 3, fill=True) == [0, 0, 0]
    assert take_parents(FRONTS, width=5, fill=True) == take_parents(FRONTS, width=5)


def test_a_filled_width_makes_fewer_and_larger_engine_calls():
    made = {}
    for fill in (False, True):
        world, calls = World(), []

        def counted(pairs, world=world, calls=calls):
            calls.append(len(pairs))
            return world.evaluate(pairs)

        evolver = GepaEvolution(
            *(Writer(world), DiverseAssignment()),
            **{"budget": 400, "width": 8, "dev_size": 18, "minimum": 4, "fill_width": fill},
        )
        evolver.evolve(HARD, counted, group_size=6, seed=3, report=lambda progress: None)
        made[fill] = calls
    assert sum(made[True]) <= 400
    # Each of the first iterations has the empty template alone for a parent.
    assert made[False][1] == 3
    assert made[True][1] == 8 * 3
    assert 3 * len(made[True]) < len(made[False])


def test_the_beam_takes_no_candidate_that_others_dominate():
    # On each sample where 1 is among the best, so is 7 or 8.
    assert take_parents({0: {1, 7}, 1: {1, 8}, 2: {7}, 3: {8}}, width=8) == [7, 8]


def test_the_beam_takes_all_candidates_that_share_a_sample():
    assert take_parents({0: {1, 2}, 1: {1, 3}, 2: {2, 3}}, width=8) in ([1, 2], [1, 3], [2, 3])
    assert take_parents({0: {1, 2}, 1: {2}, 2: {1}}, width=8) == [1, 2]


def test_the_beam_weighs_a_candidate_by_every_sample_it_shares():
    # All three are needed; 4 shares the samples of the others.
    fronts = {0: {4, 5}, 1: {4, 6}, 2: {4}, 3: {5}, 7: {6}}
    first = [take_parents(fronts, width=1, seed=seed)[0] for seed in range(300)]
    assert 105 < first.count(4) < 150


def test_the_beam_prefers_candidates_that_are_best_on_more_samples():
    fronts = {**{sample: {0} for sample in range(9)}, 9: {1}}
    first = [take_parents(fronts, width=1, seed=seed)[0] for seed in range(200)]
    assert 160 < first.count(0) < 198


# 10 calls stay back for an acceptance; a proposal takes 6.
@pytest.mark.parametrize(
    ("left", "parents"), [(15, 0), (16, 1), (21, 1), (22, 2), (58, 8), (90, 8)]
)
def test_the_beam_takes_no_more_parents_than_can_be_paid_for(left, parents):
    assert len(take_parents(FRONTS, width=16, spent=1000 - left)) == parents


def tried(scores):
    """An evaluation on a minibatch; None stands for a verdict that is missing."""
    trials = [
        TemplateTrial(score or 0.0, None if score is None else score == 1, "", "", "")
        for score in scores
    ]
    return SubsampleEvaluation([trial.score for trial in trials], trials)


def proposal(text, before, after):
    return CandidateProposal(
        candidate={"template": text},
        parent_program_ids=[0],
        eval_before=tried(before),
        eval_after=tried(after),
    )


@pytest.mark.parametrize(
    ("left", "texts"),
    [(9, []), (10, ["best"]), (29, ["best", "good"]), (99, ["best", "good", "gain"])],
)
def test_what_can_be_paid_for_is_accepted_the_largest_gains_first_and_nothing_twice(left, texts):
    proposals = [
        proposal("gain", [0, 0, 0], [1, 0, 0]),
        proposal("best", [0, 0, 0], [1, 1, 1]),
        proposal("best", [0, 0, 1], [1, 1, 1]),
        proposal("good", [0, 0, 1], [1, 1, 1]),
        proposal("equal", [0, 0, 1], [0, 1, 0]),
        proposal("worse", [0, 0, 1], [0, 0, 0]),
        proposal("text 3", [0, 0, 0], [1, 1, 1]),
    ]
    accepted = AffordableImprovements(Budget(left, 3, 10)).select(
        proposals,
        state_with({}),  # type: ignore[arg-type]
        JudgedImprovement(),
    )
    assert [p.candidate["template"] for p in accepted] == texts


@pytest.mark.parametrize(
    ("before", "after", "accepted"),
    [
        # What the child lost on the first sample is not known, so it gains on the second.
        ([1, 0, 0], [None, 1, 0], True),
        ([None, 0, 0], [1, 0, 0], False),
        ([None, 0, 0], [0, 1, 0], True),
        ([None, 0, 1], [1, 1, None], True),
        ([1, 1, None], [1, None, 1], False),
        ([None, None, None], [1, 1, 1], False),
        ([0, 0, 0], [None, None, None], False),
    ],
)
def test_a_child_gains_on_samples_on_which_both_have_a_verdict(before, after, accepted):
    judged = proposal("child", before, after)
    assert JudgedImprovement().should_accept(judged, state_with({})) == accepted  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "setting", [{"width": 0}, {"minimum": 1}, {"budget": "huge"}, {"dev_size": 0}, {"patience": 0}]
)
def test_settings_that_cannot_work_are_refused(setting):
    with pytest.raises(UserError, match=f"^{next(iter(setting))}"):
        search(World(), **setting)
