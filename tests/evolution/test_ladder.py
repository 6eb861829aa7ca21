"""The least help that works: tiers, and shares of a solution."""

import pytest

from p2o.errors import UserError
from p2o.evolution.solution_share import SearchedShare
from p2o.evolution.tiered import Tiered
from p2o.hints.problems import Problems
from p2o_callbacks.hint import as_hint
from tests.evolution.kinds import IDS, NUMBER, Policy, evolve, made, prompt

TIERS = ["Idea: {solution:25%}", "Plan: {solution:50%}", "Step: {solution}"]


def needs(tier):
    """Solves problem n from tier n on."""
    return lambda number, hint: (
        [t.split(":")[0] for t in TIERS].index(hint.text.split(":")[0]) >= tier(number)
    )


def test_each_problem_has_the_least_that_works():
    policy = Policy(needs(lambda number: number % 3))
    found = evolve(made(Tiered, tiers=TIERS), policy)
    for sample in IDS:
        texts = {found.pool.text_for(sample, rollout) for rollout in range(4)}
        assert texts == {TIERS[NUMBER[sample] % 3]}
    # Twelve at the first tier, eight at the second, four at the third; each tier in one call.
    assert found.metric_calls == len(policy.tried) == 12 + 8 + 4
    assert policy.calls == found.iterations == 3
    assert [template.score for template in found.pool.templates] == [1 / 3, 1 / 2, 1]
    assert found.pool.cover == (0, 1, 2)


def test_what_no_tier_solves_has_the_last_one():
    found = evolve(made(Tiered, tiers=TIERS), Policy(lambda number, hint: False))
    assert {found.pool.text_for(sample, 0) for sample in IDS} == {TIERS[2]}
    assert found.pool.cover == (2,)


def test_a_trial_without_a_verdict_is_no_failure():
    found = evolve(made(Tiered, tiers=TIERS), Policy(lambda number, hint: None))
    assert {found.pool.text_for(sample, 0) for sample in IDS} == {TIERS[0]}
    assert found.metric_calls == len(IDS)


def test_between_searches_a_problem_keeps_its_hint_and_others_are_bare():
    evolver = made(Tiered, tiers=TIERS)
    found = evolve(evolver, Policy(needs(lambda number: 1)), IDS[:4])
    dealt = evolver.deal(found.pool, IDS[2:6], group_size=4, seed=0)
    assert dealt == {sample: (1,) * 4 for sample in IDS[2:4]}
    larger = evolver.deal(found.pool, IDS[2:6], group_size=6, seed=0)
    assert larger == {sample: (1,) * 6 for sample in IDS[2:4]}


def test_the_smallest_share_of_the_solution_that_works_is_found():
    evolver = made(SearchedShare, shares=[0.25, 0.5, 1], place="answer")
    policy = Policy(lambda number, hint: "third" in hint.prefix or number < 6)
    found = evolve(evolver, policy)
    for sample in IDS:
        hint = as_hint(found.pool.hint_for(sample, 0))
        assert hint.prefix == ("{solution:25%}" if NUMBER[sample] < 6 else "{solution:100%}")


@pytest.mark.parametrize("shares", [[], [0.5, 0.5], [0, 0.5], [0.5, 1.2], [0.5, 0.25]])
def test_shares_that_do_not_rise_are_refused(shares):
    with pytest.raises(UserError, match=r"shares=\[.*: give rising numbers above 0 and up to 1"):
        made(SearchedShare, shares=shares)


def test_tiers_are_refused_where_there_are_none_or_a_row_lacks_a_column():
    with pytest.raises(UserError, match=r"tiers=\[\]: give texts"):
        made(Tiered, tiers=[])
    problems = Problems([prompt(0, plan="add"), prompt(1)])
    with pytest.raises(UserError, match="row 1 has no column 'plan'"):
        made(Tiered, problems, tiers=["{plan}", "{solution}"])
