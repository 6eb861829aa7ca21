"""What a search has tried is told with what became of it."""

import random

import pytest

from p2o.evolution.split import split_hard_set
from p2o.evolution.trace import NO_GAIN, NOT_TAKEN
from p2o_callbacks import Exchange
from tests.evolution.world import HARD, World, Writer, has_word, search


class Talker(Writer):
    """Keeps what was said."""

    exchanges: list[Exchange | None] = []

    def reflect(self, requests):
        texts = super().reflect(requests)
        self.exchanges = [
            Exchange(f"improve {r.seed}", f"Sure: {t}")
            for r, t in zip(requests, texts, strict=True)
        ]
        return texts


@pytest.fixture(params=range(3))
def found(request):
    return found_in(World(), seed=request.param)


def found_in(world, **options):
    writer = Talker(world, lambda asked: random.Random(asked.seed).random() < 0.2)
    return world, search(world, writer=writer, **options)


def test_every_text_that_was_asked_for_is_a_candidate_behind_the_seed(found):
    assert_told_as_asked(*found)


@pytest.mark.parametrize("seed", range(3))
def test_a_task_that_is_skipped_is_not_taken_for_one_with_the_same_parent_and_scores(seed):
    """Half of the samples have no verdict, and so the score of a failure, and no reflection."""
    world = World(solves=lambda sample, _, score: None if int(sample[-1]) % 2 else score == 1)
    _, evolution = found_in(world, seed=seed, minibatch_size=1, width=8, fill_width=True)
    assert_told_as_asked(world, evolution)
    tried = [each for each in evolution.candidates if each.score_after]
    assert tried
    for each in tried:
        assert list(each.score_after) == [has_word(s, each.text) for s in each.minibatch]


def assert_told_as_asked(world, evolution):
    """Each candidate has the parent, minibatch and scores of the request that it answers."""
    asked = [each for kind, content in world.events if kind == "reflect" for each in content]
    seed, *others = evolution.candidates
    assert (seed.text, seed.iteration, seed.parents, seed.accepted) == ("", 0, (), True)
    assert [each.exchange.prompt for each in others] == [f"improve {r.seed}" for r in asked]
    for each, request in zip(others, asked, strict=True):
        assert evolution.candidates[each.parents[0]].text == request.template
        assert list(each.minibatch) == [record["Inputs"] for record in request.records]
        assert list(each.score_before) == [record["score"] for record in request.records]


def test_those_accepted_are_the_pool_with_its_scores_and_parents(found):
    _, evolution = found
    accepted = [i for i, each in enumerate(evolution.candidates) if each.accepted]
    assert len(accepted) > 2
    for index, template in zip(accepted, evolution.pool.templates, strict=True):
        candidate = evolution.candidates[index]
        assert (candidate.text, candidate.reason) == (template.text, "")
        assert candidate.dev_scores == template.dev_scores
        assert tuple(accepted.index(parent) for parent in candidate.parents) == template.parents


def test_the_others_say_why_not(found):
    _, evolution = found
    _, dev = split_hard_set(HARD, 18, 0)
    reasons = set()
    for each in evolution.candidates:
        if each.accepted:
            continue
        reasons.add(each.reason)
        assert not each.dev_scores
        if each.reason == NO_GAIN:
            assert sum(each.score_after) <= sum(each.score_before)
        elif each.reason == NOT_TAKEN:
            assert sum(each.score_after) > sum(each.score_before)
        else:
            assert (each.text, each.score_after) == ("", ())
        if each.text:
            assert list(each.score_after) == [has_word(s, each.text) for s in each.minibatch]
    assert NO_GAIN in reasons
    assert "nothing was written that can be a template" in reasons


def test_a_backend_that_keeps_no_exchange_has_none():
    assert {each.exchange for each in search(World()).candidates} == {None}
