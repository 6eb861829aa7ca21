import random
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2o.hints.assignment import (
    Assigner,
    DiverseAssignment,
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


def template(text: str, scores: list[float], least: float = 1.0) -> Template:
    """A template that solves what it scores `least` on."""
    scored = dict(zip(DEV, scores, strict=True))
    solved = frozenset(sample for sample, score in scored.items() if score >= least)
    return Template(text, (), sum(scores) / len(scores), scored, solved)


@given(templates_strategy, st.booleans(), st.integers(1, 6), st.integers(0, 3))
def test_draws(templates: list[Template], bare: bool, size: int, seed: int) -> None:
    if bare and templates:
        templates[0] = replace(templates[0], text=" \n")
    cover, assignment = assign_templates(templates, DEV + TRAIN, size, seed)
    if not cover:
        assert assignment == {}
        solved_bare = templates[0].solved if bare and templates else frozenset()
        assert all(t.solved <= solved_bare for t in templates)
        return
    assert set(assignment) == {*DEV, *TRAIN}
    drawn_as = {i: None if bare and i == 0 else i for i in cover}
    assert set(drawn_as.values()) != {None}
    for sample, drawn in assignment.items():
        solvers = {i for i in cover if sample in templates[i].solved}
        assert bool(solvers) == any(sample in t.solved for t in templates)
        assert len(drawn) == size
        assert set(drawn) <= {drawn_as[i] for i in solvers or cover}


@given(templates_strategy, st.integers(0, 3), st.randoms(use_true_random=False))
def test_order_of_samples_and_scores_does_not_matter(
    templates: list[Template], seed: int, shuffle: random.Random
) -> None:
    hard_set = DEV + TRAIN
    shuffled_set = shuffle.sample(hard_set, len(hard_set))
    shuffled = [
        replace(t, dev_scores={k: t.dev_scores[k] for k in shuffle.sample(DEV, len(DEV))})
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


@pytest.mark.parametrize("least", [0.5, 0.95, 1.0])
def test_what_is_solved_is_said_by_verdicts(least: float) -> None:
    templates = [
        template("a", [least, 0.4, 0, 0, 0, 0], least),
        template("b", [1, 0, 0, 0, 0, 0], 2),
    ]
    cover, assignment = assign_templates(templates, DEV, 3, seed=0)
    assert cover == (0,)
    assert set(assignment.values()) == {(0, 0, 0)}


def test_what_only_the_empty_template_solves_is_rolled_out_bare() -> None:
    templates = [template("", [1, 1, 1, 1, 0, 0]), template("a", [0, 1, 0, 0, 1, 1])]
    cover, assignment = assign_templates(templates, [*DEV, "elsewhere"], 400, seed=0)
    assert cover == (0, 1)
    for sample in (DEV[0], DEV[2], DEV[3]):
        assert set(assignment[sample]) == {None}
    for sample in DEV[4:]:
        assert set(assignment[sample]) == {1}
    # Both solve this one, and nobody knows who solves that.
    for sample in (DEV[1], "elsewhere"):
        drawn = Counter(assignment[sample])
        assert drawn[None] / 400 == pytest.approx(4 / 7, abs=0.08)
        assert drawn[None] + drawn[1] == 400


def test_the_empty_template_is_not_chosen_where_it_adds_nothing() -> None:
    templates = [template("", [1, 0, 0, 0, 0, 0]), template("a", [1, 1, 0, 0, 0, 0])]
    cover, assignment = assign_templates(templates, DEV, 3, seed=0)
    assert cover == (1,)
    assert set(assignment.values()) == {(1, 1, 1)}


@pytest.mark.parametrize("assigner", [DiverseAssignment(), SameTemplate()])
def test_where_the_bare_prompt_solves_all_nobody_has_a_template(assigner: Assigner) -> None:
    found = (template("", [1, 1, 0, 0, 0, 0]), template("a", [0, 1, 0, 0, 0, 0]))
    assert assigner.assign(found, DEV, 6, seed=0) == PromptPool(found, (), {})


@pytest.mark.parametrize("assigner", [DiverseAssignment(), SameTemplate()])
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
