"""A search that is fed by training: what is known is not paid for again, and where it is needed."""

import random
from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p2o.evolution.adapter import COMPONENT, TemplateAdapter
from p2o.evolution.failures import FailuresFirst
from p2o.evolution.gepa import GepaEvolution
from p2o.evolution.incumbents import find_incumbents, with_incumbents
from p2o.evolution.stopping import Budget
from p2o.evolution.strategies import ParetoBeam
from p2o.evolution.trace import NO_GAIN
from p2o.hints.assignment import DiverseAssignment
from p2o.hints.evidence import Evidence
from p2o.hints.problems import ProblemOutcome, Problems
from p2o_callbacks import Hint, PromptPool, Template, TemplateTrial
from tests.evolution.world import HARD, WORDS, World, Writer

SIZES = {"budget": 400, "width": 4, "dev_size": 18, "minimum": 4}


def shown(world, pairs):
    """What training would have shown of these pairs."""
    found = {}
    for sample, template in pairs:
        found.setdefault(sample, []).append((template, world.try_out(sample, template)))
    return found


class Fed:
    """A search that has been told of training."""

    def __init__(self, evidence=2, score=None, **options):
        self.world = World(score, greedy=True) if score else World(greedy=True)
        self.writer = Writer(self.world)
        options = {**SIZES, **options}
        self.evolver = GepaEvolution(self.writer, DiverseAssignment(), evidence=evidence, **options)
        self.problems = Problems([])
        self.evolver.bind(self.problems)

    def train(self, epoch, pairs):
        self.problems.evidence.note(epoch, shown(self.world, pairs))

    def search(self, hard=HARD, seed=0, report=lambda progress: None):
        return self.evolver.evolve(
            hard, self.world.evaluate, group_size=6, seed=seed, report=report
        )


def test_failures_of_the_bare_prompt_are_not_paid_for_again():
    fed = Fed()
    fed.train(0, [(sample, "") for sample in HARD])
    found = fed.search()
    assert "" not in {template for _, template in fed.world.pairs}
    assert found.metric_calls == fed.world.spent > 0
    assert found.spared is not None
    assert found.spared >= SIZES["dev_size"]
    words = {word for i in found.pool.in_use for word in found.pool.templates[i].text.split()}
    assert {"red", "green", "blue"} <= words


def test_what_training_has_shown_is_what_a_reflection_is_told():
    fed = Fed()
    fed.train(0, [(sample, "") for sample in HARD])
    fed.search()
    requests = [request for kind, told in fed.world.events if kind == "reflect" for request in told]
    first = requests[0]
    assert first.template == ""
    assert all(not record["solved"] for request in requests[:1] for record in request.records)
    assert {record["Generated Outputs"] for record in first.records} == {"response"}


def test_without_evidence_it_is_the_search_of_the_paper():
    plain, told = Fed(evidence=0), Fed(evidence=0)
    told.train(0, [(sample, "") for sample in HARD])
    assert told.search() == plain.search()
    assert told.world.events == plain.world.events
    assert plain.search().spared is None
    assert plain.search().solved_before is None


def test_templates_that_still_work_are_dealt_out_without_a_search():
    fed = Fed()
    fed.train(0, [(sample, word) for sample in HARD for word in ("red", "green", "blue")])
    found = fed.search()
    assert (found.metric_calls, found.iterations, fed.world.events) == (0, 0, [])
    assert found.solved_before == len(HARD)
    assert {found.pool.templates[i].text for i in found.pool.in_use} == {"red", "green", "blue"}
    assert set(found.pool.assignment) == set(HARD)
    for sample in HARD:
        texts = {found.pool.text_for(sample, rollout) for rollout in range(6)}
        assert texts == {sample.split("-")[0]}


def test_a_search_is_for_those_alone_on_which_templates_fail_and_the_others_keep_theirs():
    fed = Fed()
    fed.train(0, [(sample, word) for sample in HARD for word in ("red", "green")])
    found = fed.search()
    blue = {sample for sample in HARD if sample.startswith("blue")}
    assert {sample for sample, _ in fed.world.pairs} <= blue
    assert found.solved_before == len(HARD) - len(blue)
    in_use = [found.pool.templates[index] for index in found.pool.in_use]
    assert {"red", "green"} <= {template.text for template in in_use}
    assert any("blue" in template.text.split() for template in in_use)
    assert set(found.pool.assignment) == set(HARD)


def test_samples_that_no_template_was_tried_on_are_dealt_those_at_hand_first():
    fed = Fed()
    told = [sample for sample in HARD if not sample.startswith("blue")]
    fed.train(0, [(sample, word) for sample in told for word in ("red", "green")])
    found = fed.search()
    assert fed.world.events == []
    assert set(found.pool.assignment) == set(HARD)


def test_templates_that_work_no_more_are_left_and_searched_for_anew():
    fed = Fed()
    fed.train(0, [(sample, word) for sample in HARD for word in ("red", "green", "blue")])
    fed.train(1, [(sample, "grey") for sample in HARD])
    # One epoch later all that is known is that a template fails.
    fed.train(2, [(sample, "grey") for sample in HARD])
    found = fed.search()
    assert found.metric_calls > 0
    assert found.solved_before == 0


def test_fewer_than_a_search_takes_are_dealt_what_is_known():
    fed = Fed()
    few = HARD[:2]
    assert fed.search(few).pool == PromptPool()
    fed.train(0, [(sample, "red") for sample in few])
    found = fed.search(few)
    assert fed.world.events == []
    assert [found.pool.text_for(sample, 0) for sample in few] == ["red", "red"]


@settings(max_examples=60, deadline=None)
@given(
    st.integers(4, 60),
    st.integers(20, 400),
    st.integers(1, 15),
    st.integers(1, 5),
    st.floats(0, 1),
    st.floats(0, 1),
    st.integers(0, 99),
)
def test_what_is_known_is_no_call_and_the_budget_holds(
    samples, budget, dev_size, size, bare, hinted, seed
):
    """Of the templates that are proposed, too, training has shown some results."""
    chance = random.Random(seed)
    dev = samples // 2 if samples < 1.5 * dev_size else dev_size
    smallest = 2 * dev + 2 * min(size, samples - dev)
    reports, hard, patience = [], [f"red-{n}" for n in range(samples)], 1000
    fed = Fed(
        score=lambda sample, template: float(chance.random() < 0.1),
        budget=max(budget, smallest),
        dev_size=dev_size,
        minibatch_size=size,
        minimum=samples,
        patience=patience,
    )
    fed.writer.unique = True
    told = [(sample, "") for sample in hard if chance.random() < bare]
    fed.train(0, told)
    # None of the templates has solved anything, which would spare the search.
    texts = [f"{word} version-{number}" for word in WORDS for number in range(1, 13)]
    failed = TemplateTrial(0.0, False, "?", "r", "f")
    for sample in hard:
        failures = [text for text in texts if chance.random() < hinted]
        fed.problems.evidence.note(0, {sample: [(text, failed) for text in failures]})
        told += [(sample, text) for text in failures]
    known = {pair for pair in told if fed.problems.evidence.trial(*pair) is not None}
    found = fed.search(hard, seed=seed, report=reports.append)
    assert found.metric_calls == fed.world.spent == reports[-1].metric_calls
    calls = [each.metric_calls for each in reports]
    assert calls == sorted(calls)
    left = max(budget, smallest) - fed.world.spent
    # It ends when what is left cannot pay for one more proposal and its acceptance; or else after
    # its patience, where the bare prompt solves all that there is to reflect on.
    assert left >= 0
    assert left < smallest - dev or found.iterations >= patience
    assert not known & set(fed.world.pairs)
    assert len(set(fed.world.pairs)) == len(fed.world.pairs)
    assert found.spared is not None
    assert found.spared <= len(known)


class Repeater(Writer):
    """Writes one text on two minibatches of the empty template, when only the second gains."""

    def reflect(self, requests) -> list[str | None]:
        families = [request.records[0]["Inputs"].split("-")[0] for request in requests]
        restarts = [f for f, r in zip(families, requests, strict=True) if not r.template]
        if restarts == ["none", "blue"]:
            return ["blue"] * len(requests)
        return [family if family in ("red", "green") else None for family in families]


@pytest.mark.parametrize("seed", range(3))
def test_of_equal_texts_the_one_that_has_gained_is_told_as_accepted(seed):
    fed = Fed(minibatch_size=1, patience=50)
    fed.evolver.reflection = Repeater(fed.world)
    hard = [*HARD, *(f"none-{number:02d}" for number in range(16))]
    fed.train(0, [(sample, "") for sample in hard])
    blue = [each for each in fed.search(hard, seed=seed).candidates if each.text == "blue"]
    first, second = [each for each in blue if each.parents == (0,)]
    assert (first.accepted, first.reason, first.dev_scores) == (False, NO_GAIN, {})
    assert (second.accepted, second.score_after) == (True, (1.0,))


class _Set:
    def fetch(self, ids):
        return list(ids)


def state_of(texts) -> Any:
    """What of gepa's state a beam looks at."""
    return SimpleNamespace(program_candidates=[{COMPONENT: text} for text in texts])


def tasks_of(adapter, train, texts, dev=("d",), width=4, fill=False):
    budget = Budget(1000, 2, len(dev))
    beam = ParetoBeam(width, budget, random.Random(0), fill)
    first = FailuresFirst(beam, adapter, train, list(dev), 2, random.Random(0))
    return [
        [(task.parent_idx, [train[i] for i in task.minibatch_ids]) for task in tasks]
        for tasks in (first.sample_tasks(state_of(texts), None, None, _Set()) for _ in range(3))
    ]


def test_minibatches_are_failures_that_nothing_solves_and_the_empty_template_is_a_parent():
    train = [f"s{n}" for n in range(8)]
    world = World(lambda sample, template: float((sample, template) in right), greedy=True)
    right = {("d", "a"), ("s0", "a"), ("s1", "a")}
    adapter = TemplateAdapter(world.evaluate)
    adapter.evaluate(["d", *train[:6]], {COMPONENT: ""})
    adapter.evaluate(["d", "s0", "s1", "s2", "s3"], {COMPONENT: "a"})
    rounds = tasks_of(adapter, train, ["", "a"])
    assert [[parent for parent, _ in tasks] for tasks in rounds] == [[0, 1]] * 3
    bare = [sorted(samples) for tasks in rounds for parent, samples in tasks if parent == 0]
    # All that the bare prompt fails and nothing solves, before any is shown again.
    assert sorted(bare[0] + bare[1]) == ["s2", "s3", "s4", "s5"]
    assert set(bare[2]) <= {"s2", "s3", "s4", "s5"}
    assert sorted(rounds[0][1][1]) == ["s2", "s3"]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from("fus"), min_size=1, max_size=12), st.integers(1, 14), st.data())
def test_a_minibatch_is_the_first_of_all_samples_in_order(verdicts, size, data):
    """Failures, unknown ones and solved ones; not solved by others; shown least; as shuffled."""
    train = [f"s{n}" for n in range(len(verdicts))]
    known = dict(zip(train, verdicts, strict=True))
    solved = data.draw(st.sets(st.sampled_from(train)))

    class Knowing:
        def verdict(self, template, sample):
            return {"f": False, "s": True}.get(known[sample])

        def solved(self, template):
            return frozenset(solved)

        def scores(self, template, samples):
            return {}

    adapter: Any = Knowing()
    budget = Budget(1000, size, 1)
    beam = ParetoBeam(4, budget, random.Random(0), fill=True)
    first = FailuresFirst(beam, adapter, train, ["d"], size, random.Random(1))
    generator, shown = random.Random(1), Counter()
    for _ in range(3):
        for task in first.sample_tasks(state_of([""]), None, None, _Set()):
            places = list(range(len(train)))
            generator.shuffle(places)
            ranked = sorted(
                places,
                key=lambda p: ("fus".index(verdicts[p]), train[p] in solved, shown[p]),
            )
            assert task.minibatch_ids == ranked[:size]
            shown.update(ranked[:size])


def test_a_minibatch_is_chosen_without_a_trial_for_each_sample(monkeypatch):
    fed = Fed()
    fed.train(0, [(sample, "") for sample in HARD])
    adapter = TemplateAdapter(fed.world.evaluate, known=fed.problems.evidence)
    adapter.evaluate([HARD[0]], {COMPONENT: ""})
    monkeypatch.delattr(Evidence, "trial")
    assert tasks_of(adapter, HARD[1:], [""], dev=HARD[:1])


def test_a_filled_width_reflects_on_other_failures_of_the_same_parents():
    train = [f"s{n}" for n in range(8)]
    adapter = TemplateAdapter(World(greedy=True).evaluate)
    adapter.evaluate(["d", *train], {COMPONENT: ""})
    first, *_ = tasks_of(adapter, train, [""], width=4, fill=True)
    assert [parent for parent, _ in first] == [0] * 4
    assert sorted(sample for _, samples in first for sample in samples) == train


def test_a_beam_of_one_still_has_a_parent():
    adapter = TemplateAdapter(World(greedy=True).evaluate)
    adapter.evaluate(["d"], {COMPONENT: ""})
    assert [len(tasks) for tasks in tasks_of(adapter, ["s0", "s1"], [""], width=1)] == [1, 1, 1]


@pytest.mark.parametrize(("width", "kept"), [(1, 0), (2, 1), (4, 2), (5, 2), (8, 3)])
def test_templates_of_a_wide_front_have_half_of_the_width(width, kept):
    """Each of three templates solves a dev sample of its own, so that all are on the front."""
    texts, dev = ["", "a", "b", "c"], ("da", "db", "dc")
    world = World(lambda sample, template: float(sample == f"d{template}"), greedy=True)
    adapter = TemplateAdapter(world.evaluate)
    for text in texts:
        adapter.evaluate([*dev], {COMPONENT: text})
    for tasks in tasks_of(adapter, ["s0", "s1"], texts, dev, width):
        parents = [parent for parent, _ in tasks]
        assert sum(parent != 0 for parent in parents) == kept
        assert len(parents) == min(width, 2 * max(kept, 1))


def test_every_template_of_a_front_can_be_a_parent():
    """Three of six have a place beside the empty one; the latest are not the last to be asked."""
    texts = ["", *"abcdef"]
    dev = tuple(f"d{text}" for text in texts[1:])
    world = World(lambda sample, template: float(sample == f"d{template}"), greedy=True)
    adapter = TemplateAdapter(world.evaluate)
    for text in texts:
        adapter.evaluate([*dev], {COMPONENT: text})
    budget = Budget(1000, 2, len(dev))
    beam = ParetoBeam(6, budget, random.Random(0))
    first = FailuresFirst(beam, adapter, ["s0", "s1"], list(dev), 2, random.Random(0))
    drawn = set()
    for _ in range(20):
        tasks = first.sample_tasks(state_of(texts), None, None, _Set())
        parents = [task.parent_idx for task in tasks if task.parent_idx]
        assert len(set(parents)) == 3
        drawn |= set(parents)
    assert drawn == {1, 2, 3, 4, 5, 6}


def test_the_same_template_from_before_and_from_a_search_is_one():
    found = [
        Template("", score=0.0),
        Template("a", (0,), 0.5, {"x": 1.0, "y": 0.0}, frozenset("x")),
    ]
    known = [
        Template("a", score=1.0, dev_scores={"y": 1.0, "z": 1.0}, solved=frozenset("yz")),
        Template("b", score=1.0, dev_scores={"x": 1.0}, solved=frozenset("x")),
    ]
    merged = with_incumbents(found, known)
    assert [template.text for template in merged] == ["", "a", "b"]
    # The search came later.
    assert merged[1].dev_scores == {"x": 1.0, "y": 0.0, "z": 1.0}
    assert merged[1].score == pytest.approx(2 / 3)
    assert merged[1].solved == {"x", "y", "z"}
    assert merged[1].parents == (0,)


def test_incumbents_are_the_templates_with_which_something_hard_was_solved():
    fed = Fed()
    fed.train(0, [("red-00", "red"), ("red-00", "green"), ("blue-00", "red"), ("grey-00", "")])
    known = find_incumbents(fed.problems.evidence, ["red-00", "blue-00", "grey-00"])
    assert [template.text for template in known.templates] == ["red"]
    assert known.templates[0].dev_scores == {"red-00": 1.0, "blue-00": 0.0}
    assert (known.solved, known.failed) == ({"red-00"}, {"blue-00"})


def test_a_template_that_is_relied_on_too_much_spares_no_search_and_stays():
    fed = Fed(most_reliance=1.0)
    fed.train(0, [(sample, word) for sample in HARD for word in ("red", "green", "blue")])
    assert fed.search().metric_calls == 0
    fed.problems.note([ProblemOutcome("blue-00", 1.0, True, None, (("blue", 1.5), ("red", 0.5)))])
    found = fed.search()
    blue = {sample for sample in HARD if sample.startswith("blue")}
    assert {sample for sample, _ in fed.world.pairs} <= blue
    assert found.metric_calls > 0
    assert found.solved_before == len(HARD) - len(blue)
    assert "blue" in {template.text for template in found.pool.templates}


def test_a_template_that_gives_a_hard_problem_away_does_not_stay():
    fed = Fed()
    question, answers = "What is the colour of the sky above the river at noon?", ("blue",)
    trial = TemplateTrial(1.0, True, question, "r", "f", answers=answers)
    fed.problems.evidence.note(0, {"sky-00": [("The answer is blue.", trial)]})
    found = fed.search(["sky-00", "sky-01"])
    assert (found.pool, found.solved_before) == (PromptPool(), 0)


def test_hints_of_another_kind_are_no_templates():
    shown_turns = Hint("", turns=(("1 + 1?", "2"),))
    fed = Fed()
    fed.train(0, [(sample, "red") for sample in HARD[:4]])
    trial = TemplateTrial(1.0, True, "?", "r", "f")
    fed.problems.evidence.note(0, {HARD[5]: [(shown_turns.label, trial)]})
    known = find_incumbents(fed.problems.evidence, HARD)
    assert [template.text for template in known.templates] == ["red"]
    assert HARD[5] not in known.solved


def test_reliance_is_kept_where_a_search_asks_for_it():
    assert Fed(most_reliance=1.0).problems.keeps_reliance
    assert not Fed().problems.keeps_reliance


def test_a_trial_that_is_unverified_stays_unknown():
    fed = Fed()
    fed.problems.evidence.note(
        0, {"red-00": [("", TemplateTrial(0.0, None, "", "", "")) for _ in range(6)]}
    )
    assert fed.problems.evidence.trial("red-00", "") is None
