"""The control: phrases at random, nothing tried, nothing chosen."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2o.errors import UserError
from p2o.evolution.random_template import RandomTemplates
from p2o.reflection import Phrasebook
from p2o_callbacks import Evolution, PromptPool


def evolve(hard, seed=0, group_size=6, **options):
    def never(pairs):
        raise AssertionError("it tries nothing")

    evolver = RandomTemplates(**options)
    return evolver.evolve(
        hard, never, group_size=group_size, seed=seed, report=lambda progress: None
    )


@given(
    hard=st.sets(st.text("abc", min_size=1, max_size=3), min_size=1),
    seed=st.integers(0, 2**62),
    number=st.integers(1, 12),
    longest=st.integers(1, 6),
)
def test_templates_are_phrases_and_every_sample_gets_some(hard, seed, number, longest):
    phrases = set(Phrasebook().phrases)
    found = evolve(sorted(hard), seed, number=number, max_phrases=longest)
    pool = found.pool
    assert 1 <= len(pool.templates) <= number
    assert found.metric_calls == 0
    for template in pool.templates:
        assert template.score is None
        assert made_of(template.text, phrases, longest)
    assert set(pool.assignment) == hard
    assert {len(drawn) for drawn in pool.assignment.values()} == {6}
    assert evolve(sorted(hard, reverse=True), seed, number=number, max_phrases=longest) == found


def made_of(text, phrases, most):
    if not text:
        return True
    return most > 0 and any(
        made_of(text[len(phrase) :].lstrip(), phrases, most - 1)
        for phrase in phrases
        if text == phrase or text.startswith(phrase + " ")
    )


def test_what_a_sample_draws_does_not_depend_on_the_others():
    alone, together = evolve(["a"]).pool, evolve(["a", "b", "c"]).pool
    assert alone.assignment["a"] == together.assignment["a"]


def test_no_template_is_preferred():
    samples = [str(number) for number in range(500)]
    pool = evolve(samples).pool
    drawn = Counter(index for each in pool.assignment.values() for index in each)
    expected = 3000 / len(pool.templates)
    assert all(abs(drawn[i] - expected) < 0.2 * expected for i in range(len(pool.templates)))


def test_another_seed_draws_others():
    assert evolve(["a"], 0).pool.templates != evolve(["a"], 1).pool.templates


def test_too_few_samples_get_nothing():
    assert evolve(["a", "b"], minimum=3) == Evolution(PromptPool())
    assert evolve([]) == Evolution(PromptPool())


def test_settings_that_mean_nothing_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"^number=0"):
        evolve(["a"], number=0)
    with pytest.raises(UserError, match=r"^max_phrases=0"):
        evolve(["a"], max_phrases=0)
    with pytest.raises(UserError, match=r"^path=.*: cannot read it"):
        evolve(["a"], path=str(tmp_path / "none.txt"))


def test_later_hard_samples_draw_from_all_and_the_others_keep_what_they_have():
    evolver = RandomTemplates()
    pool = evolve(["a", "b"], seed=5).pool
    dealt = evolver.deal(pool, ["b", "c"], group_size=6, seed=5)
    assert dealt["b"] == pool.assignment["b"]
    assert set(dealt) == {"b", "c"}
    assert len(dealt["c"]) == 6
    assert set(dealt["c"]) <= set(pool.cover)
