"""What solves a sample is a verdict; what the bare prompt solves is no template's business."""

from types import SimpleNamespace
from typing import Any

import pytest

from p2o.evolution.adapter import COMPONENT, TemplateAdapter
from p2o.evolution.strategies import JudgedState
from p2o_callbacks import TemplateTrial
from tests.evolution.world import HARD, World, Writer, has_word, search

BARE = [f"bare-{number:02d}" for number in range(24)]
RED = [f"red-{number:02d}" for number in range(24)]


@pytest.mark.parametrize("worth", [0.3, 0.95, 1.0, 2.0])
def test_a_verdict_solves_whatever_it_is_worth(worth):
    world = World(
        score=lambda sample, template: worth * has_word(sample, template),
        solves=lambda sample, template, score: has_word(sample, template) == 1,
    )
    pool = search(world).pool
    words = {word for index in pool.cover for word in pool.templates[index].text.split()}
    assert {"red", "green", "blue"} <= words
    for template in pool.templates:
        assert template.solved == {s for s in template.dev_scores if has_word(s, template.text)}
    dev = set(pool.templates[0].dev_scores)
    for sample in set(HARD) & dev:
        assert all(has_word(sample, pool.text_for(sample, k)) for k in range(6))


@pytest.mark.parametrize("worth", [0.5, 1.0, 3.0])
def test_a_score_without_a_verdict_solves_nothing(worth):
    world = World(
        score=lambda sample, template: worth * has_word(sample, template),
        solves=lambda *trial: False,
    )
    pool = search(world).pool
    assert len(pool.templates) > 1
    assert any(template.score for template in pool.templates)
    assert not any(template.solved for template in pool.templates)
    assert (pool.cover, pool.assignment) == ((), {})


def test_a_minibatch_that_is_solved_is_not_reflected_on_though_its_scores_could_be_higher():
    world = World(
        score=lambda sample, template: 0.95 * has_word(sample, template),
        solves=lambda sample, template, score: score > 0,
    )
    search(world)
    shown = [r.records for kind, content in world.events if kind == "reflect" for r in content]
    assert shown
    assert all(any(record["score"] == 0 for record in records) for records in shown)


def solved_bare_or_red(sample, template):
    """Half of the samples are solved without a template alone, the others by a word."""
    return has_word(sample, template) or float(sample in BARE and not template)


def test_what_only_the_bare_prompt_solves_is_rolled_out_bare():
    pool = search(World(solved_bare_or_red), hard=BARE + RED).pool
    dev = set(pool.templates[0].dev_scores)
    assert 0 in pool.cover
    assert pool.in_use == tuple(index for index in pool.cover if index)
    for sample in dev & set(BARE):
        assert pool.assignment[sample] == (None,) * 6
    for sample in dev & set(RED):
        assert all("red" in pool.text_for(sample, k) for k in range(6))
    # Nobody knows what solves the others, so they draw from all that is in use.
    drawn = {index for s in {*BARE, *RED} - dev for index in pool.assignment[s]}
    assert drawn == {None, *pool.in_use}


def test_a_hard_set_that_is_solved_bare_has_no_templates():
    pool = search(World(solved_bare_or_red), hard=BARE, writer=None).pool
    assert pool.templates[0].solved == set(pool.templates[0].dev_scores)
    assert (pool.cover, pool.assignment) == ((), {})


class Halves(Writer):
    """Solves either half of the samples for a while, and both at once in the end."""

    def write(self, request):
        self.written += 1
        return "red blue" if self.written > 30 else f"{['red', 'blue'][self.written % 2]}"


@pytest.mark.parametrize("stop", [True, False])
def test_a_search_ends_with_two_halves_or_goes_on_to_what_is_the_whole_cover(stop):
    hard = [sample for sample in HARD if not sample.startswith("green")]
    world = World()
    options = {"budget": 2000, "stop_when_solved": stop, "patience": 100}
    found = search(world, hard=hard, writer=Halves(world), **options)
    texts = {found.pool.templates[index].text for index in found.pool.cover}
    assert texts == ({"red", "blue"} if stop else {"red blue"})
    assert (found.metric_calls < 200) == stop


LOST = {"red-03", "red-05", "green-02", "green-11", "blue-07", "blue-15"}
"""Samples on which the verifier fails for ever, and gives a score of 0 all the same."""


def lossy(lost=LOST.__contains__):
    return World(
        score=lambda sample, template: 0.0 if lost(sample) else has_word(sample, template),
        solves=lambda sample, template, score: None if lost(sample) else score == 1,
    )


def test_a_missing_verdict_is_no_score_of_0():
    world, reports = lossy(), []
    pool = search(world, report=reports.append).pool
    dev = {sample for sample, template in world.pairs[:18]}
    assert dev & LOST
    for template in pool.templates:
        scores = {sample: has_word(sample, template.text) for sample in dev - LOST}
        assert template.dev_scores == scores
        assert template.score == pytest.approx(sum(scores.values()) / len(scores))
    assert reports[-1].best_score == max(template.score or 0.0 for template in pool.templates)


def test_nothing_is_reflected_on_without_a_verdict():
    world = lossy()
    search(world)
    records = [r.records for kind, content in world.events if kind == "reflect" for r in content]
    shown = {record["Inputs"] for batch in records for record in batch}
    assert shown
    assert not shown & LOST


def test_a_search_without_any_verdict_finds_nothing_and_ends():
    world = lossy(lambda sample: True)
    found = search(world, budget=5000)
    [bare] = found.pool.templates
    assert (bare.score, bare.dev_scores, bare.solved) == (None, {}, frozenset())
    assert (found.pool.cover, found.pool.assignment) == ((), {})
    assert not any(kind == "reflect" for kind, _ in world.events)
    assert found.metric_calls < 100


def test_a_candidate_is_not_among_the_best_on_a_sample_without_a_verdict():
    adapter = TemplateAdapter(lambda pairs: [verdicts[s, str(hint)] for s, hint in pairs])
    scores = {"": [0, 0, 0], "one": [None, 0, 1], "two": [-1, None, 1]}
    dev = ["a", "b", "c"]
    verdicts = {
        (sample, text): TemplateTrial(
            score or 0, None if score is None else score > 0, sample, "", ""
        )
        for text, own in scores.items()
        for sample, score in zip(dev, own, strict=True)
    }
    candidates = [{COMPONENT: text} for text in scores]
    adapter.batch_evaluate([(candidate, dev) for candidate in candidates])
    gepa: Any = SimpleNamespace(program_candidates=candidates, total_num_evals=9)
    state = JudgedState(gepa, adapter, dev)
    assert state.get_pareto_front_mapping() == {"a": {0}, "b": {0, 1}, "c": {1, 2}}
    assert state.per_program_tracked_scores == [0, 0.5, 0]
    assert state.total_num_evals == 9
