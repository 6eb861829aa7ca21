"""Among templates that solve a problem, those relied on least are preferred."""

import math
from collections import Counter

import pytest

from p2o.errors import UserError
from p2o.hints.assignment import DiverseAssignment
from p2o.hints.least_reliance import LeastReliance
from p2o.hints.problems import ProblemOutcome, Problems
from p2o_callbacks.pool import PromptPool, Template

DEV = [f"dev-{index}" for index in range(4)]


def template(text, solved, score=None):
    scores = {sample: float(sample in solved) for sample in DEV}
    return Template(text, score=score, dev_scores=scores, solved=frozenset(solved))


def bound(temperature=0.3, **measured):
    """One that knows the reliance of templates."""
    problems = Problems([])
    assigner = LeastReliance(temperature)
    assigner.bind(problems)
    problems.note([ProblemOutcome("p", 1.0, True, None, tuple(measured.items()))])
    return assigner


def test_the_factor_is_that_of_the_paper():
    templates = [template(text, DEV) for text in ("", "near", "far", "nearer", "new")]
    assigner = bound(0.5, near=0.25, far=2.0, nearer=-0.5)
    usual = (0.25 + 2.0 - 0.5) / 3
    expected = [1.0, *(math.exp(-max(0.0, each) / 0.5) for each in (0.25, 2.0, -0.5, usual))]
    assert assigner.factors(templates) == pytest.approx(expected)


def test_draws_follow_dev_score_times_factor():
    templates = [template("near", DEV[:2]), template("far", DEV[2:])]
    assigner = bound(1.0, near=1.0, far=0.5)
    drawn = Counter(assigner.assign(templates, ["elsewhere"], 4000, 0).assignment["elsewhere"])
    weights = [0.5 * math.exp(-1.0), 0.5 * math.exp(-0.5)]
    assert drawn[0] / 4000 == pytest.approx(weights[0] / sum(weights), abs=0.03)


def test_of_two_that_solve_the_same_the_one_relied_on_least_is_in_use():
    templates = [template("far", DEV), template("near", DEV)]
    pool = bound(far=1.0, near=0.1).assign(templates, [*DEV, "elsewhere"], 6, 0)
    assert pool.cover == (1,)
    assert set(pool.assignment.values()) == {(1,) * 6}
    # One that solves a little more is not worth a success that nobody can say.
    templates[0] = template("far", DEV)
    templates[1] = template("near", DEV[:3])
    pool = bound(far=1.0, near=0.1).assign(templates, DEV, 6, 0)
    assert pool.cover == (1, 0)
    assert pool.assignment[DEV[3]] == (0,) * 6


def test_without_measurements_it_is_the_papers_assignment():
    templates = [template("", DEV[:1]), template("a", DEV[:3]), template("b", DEV[1:])]
    unknown, known = bound(), DiverseAssignment()
    for seed in range(5):
        assert unknown.assign(templates, [*DEV, "e"], 6, seed) == known.assign(
            templates, [*DEV, "e"], 6, seed
        )
    assert bound().assign([], DEV, 6, 0) == PromptPool()


def test_a_template_on_which_everything_hangs_is_still_dealt_out_where_it_alone_solves():
    pool = bound(far=1e6).assign([template("far", DEV)], DEV, 6, 0)
    assert set(pool.assignment.values()) == {(0,) * 6}


def test_the_last_batch_with_a_success_counts():
    problems = Problems([])
    problems.note([ProblemOutcome("p", 1.0, True, None, (("a", 1.0),))])
    assert problems.reliance == {}
    problems.keeps_reliance = True
    problems.note([ProblemOutcome("p", 1.0, True, None, (("a", 9.0),))])
    problems.note(
        [
            ProblemOutcome("p", 0.5, True, None, (("a", 1.0), ("b", 3.0))),
            ProblemOutcome("q", 0.5, True, None, (("a", 2.0),)),
        ]
    )
    problems.note([ProblemOutcome("p", 0.0, True, None)])
    assert problems.reliance == {"a": 1.5, "b": 3.0}
    other = Problems([])
    other.load_state_dict(problems.state_dict())
    assert other.reliance == problems.reliance


def test_a_temperature_that_means_nothing_is_refused():
    with pytest.raises(UserError, match="temperature=0: give more than 0"):
        LeastReliance(0)
