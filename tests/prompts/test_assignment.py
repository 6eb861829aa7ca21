import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2o.prompts.assignment import (
    Assigner,
    DiverseAssignment,
    LeaveOneBare,
    SameTemplate,
    assign_templates,
)
from p2o_callbacks.pool import PromptPool, Template

DEV = [f"dev-{index}" for index in range(6)]
TRAIN = [f"train-{index}" for index in range(6)]

templates_strategy = st.lists(
    st.lists(st.sampled_from([0.0, 0.5, 1.0]), min_size=len(DEV), max_size=len(DEV)),
    max_size=5,
).map(lambda rows: [template(f"t{index}", row) for index, row in enumerate(rows)])


def template(text: str, scores: list[float]) -> Template:
    return Template(text, (), sum(scores) / len(scores), dict(zip(DEV, scores, strict=True)))


@given(templates_strategy, st.integers(1, 6), st.integers(0, 3))
def test_draws(templates: list[Template], size: int, seed: int) -> None:
    cover, assignment = assign_templates(templates, DEV + TRAIN, size, seed)
    if not cover:
        assert assignment == {}
        assert all(score < 1 for t in templates for score in t.dev_scores.values())
        return
    assert set(assignment) == {*DEV, *TRAIN}
    for sample, drawn in assignment.items():
        solvers = {i for i in cover if templates[i].dev_scores.get(sample, 0) >= 1}
        if any(t.dev_scores.get(sample, 0) >= 1 for t in templates):
            assert solvers
        assert len(drawn) == size
        assert set(drawn) <= (solvers or set(cover))


@given(templates_strategy, st.integers(0, 3), st.randoms(use_true_random=False))
def test_order_of_samples_and_scores_does_not_matter(
    templates: list[Template], seed: int, shuffle: random.Random
) -> None:
    hard_set = DEV + TRAIN
    shuffled_set = shuffle.sample(hard_set, len(hard_set))
    shuffled = [
        Template(t.text, (), t.score, {k: t.dev_scores[k] for k in shuffle.sample(DEV, len(DEV))})
        for t in templates
    ]
    pool = DiverseAssignment().assign(templates, hard_set, 4, seed)
    assert DiverseAssignment().assign(shuffled, shuffled_set, 4, seed) == pool


def test_a_seed_decides_the_draws() -> None:
    templates = [template("a", [1, 0, 0, 0, 0, 0]), template("b", [0, 1, 0, 0, 0, 0])]
    first = assign_templates(templates, TRAIN, 6, seed=0)
    assert first == assign_templates(templates, TRAIN, 6, seed=0)
    assert first != assign_templates(templates, TRAIN, 6, seed=1)


def test_draws_are_weighted_by_mean_score() -> None:
    templates = [template("a", [1, 1, 1, 0, 0, 0]), template("b", [0, 0, 0, 1, 0, 0])]
    _, assignment = assign_templates(templates, ["elsewhere"], 4000, seed=0)
    counts = Counter(assignment["elsewhere"])
    assert counts[0] / 4000 == pytest.approx(0.75, abs=0.03)


def test_the_empty_template_is_never_chosen() -> None:
    templates = [template("", [1, 1, 1, 1, 0, 0]), template("a", [1, 0, 0, 0, 0, 0])]
    cover, assignment = assign_templates(templates, DEV, 3, seed=0)
    assert cover == (1,)
    assert set(assignment.values()) == {(1, 1, 1)}


@pytest.mark.parametrize("assigner", [DiverseAssignment(), SameTemplate(), LeaveOneBare()])
def test_nothing_solved_is_a_pool_in_which_nobody_has_a_template(assigner: Assigner) -> None:
    found = (template("a", [0.5] * 6),)
    assert assigner.assign(found, DEV, 6, seed=0) == PromptPool(found, (), {})


TWO = [template("a", [1, 0, 0, 0, 0, 0]), template("b", [0, 1, 0, 0, 0, 0])]


def test_diverse_groups_have_different_templates() -> None:
    pool = DiverseAssignment().assign(TWO, TRAIN, 6, seed=0)
    assert pool.templates == tuple(TWO)
    assert any(len(set(drawn)) > 1 for drawn in pool.assignment.values())


def test_same_template_in_the_group() -> None:
    pool = SameTemplate().assign(TWO, TRAIN, 6, seed=0)
    assert all(len(drawn) == 6 and len(set(drawn)) == 1 for drawn in pool.assignment.values())
    assert len({drawn[0] for drawn in pool.assignment.values()}) == 2


def test_one_rollout_is_left_bare() -> None:
    pool = LeaveOneBare().assign(TWO, TRAIN, 6, seed=0)
    for drawn in pool.assignment.values():
        assert len(drawn) == 6
        assert [index is None for index in drawn] == [False] * 5 + [True]
    assert pool.text_for(TRAIN[0], 5) == ""
