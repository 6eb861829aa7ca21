"""Hints of a given list."""

import pytest

from p2o.errors import UserError
from p2o.evolution.fixed import FixedHints
from p2o.hints.problems import Problems
from p2o_callbacks import Hint
from tests.evolution.kinds import IDS, NUMBER, PROMPTS, Policy, evolve, made, prompt

LIST = ["Think.", {"prefix": "{solution:25%}", "columns": True}, {"turns": [["1?", "2"]]}]


def never(number, hint):
    raise AssertionError("it tries nothing")


def test_the_control_tries_nothing_and_deals_out_the_whole_list():
    found = evolve(made(FixedHints, hints=LIST), Policy(never))
    assert found.metric_calls == 0
    assert [template.simplest for template in found.pool.templates] == [
        "Think.",
        Hint("", prefix="{solution:25%}", columns=True),
        Hint("", turns=(("1?", "2"),)),
    ]
    assert set(found.pool.assignment) == set(IDS)
    drawn = [index for indices in found.pool.assignment.values() for index in indices]
    assert len(drawn) == 4 * 12
    assert set(drawn) == {0, 1, 2}
    assert all(template.score is None for template in found.pool.templates)


def test_it_is_for_hard_problems_or_for_all():
    hard = IDS[:3]
    assert set(evolve(made(FixedHints, hints=LIST), Policy(never), hard).pool.assignment) == set(
        hard
    )
    everywhere = evolve(made(FixedHints, hints=LIST, among="all"), Policy(never), [])
    assert set(everywhere.pool.assignment) == set(IDS)


def test_a_problem_draws_the_same_whichever_others_are_hard():
    evolver = made(FixedHints, hints=LIST)
    together = evolve(evolver, Policy(never)).pool
    alone = evolve(evolver, Policy(never), IDS[:1]).pool
    assert alone.assignment[IDS[0]] == together.assignment[IDS[0]]
    dealt = evolver.deal(together, IDS[:2], group_size=4, seed=0)
    assert dealt == {sample: together.assignment[sample] for sample in IDS[:2]}


def test_tried_hints_are_dealt_out_by_how_they_fare():
    policy = Policy(lambda number, hint: (hint.text == "Think.") == (number % 2 == 0))
    found = evolve(made(FixedHints, hints=["Think.", "Add."], dev_size=12), policy)
    assert found.metric_calls == len(policy.tried) == 2 * 6
    assert policy.calls == 1
    for sample in found.pool.templates[0].dev_scores:
        texts = {found.pool.text_for(sample, rollout) for rollout in range(4)}
        assert texts == {"Add." if NUMBER[sample] % 2 else "Think."}


def test_too_few_problems_get_nothing():
    assert not evolve(
        made(FixedHints, hints=LIST, minimum=4), Policy(never), IDS[:3]
    ).pool.templates


@pytest.mark.parametrize(
    ("hints", "line"),
    [
        ([], r"hints=\[\]: give at least one"),
        (["Think.", " "], r"hints\.1: it is empty"),
        ([{"txt": "Think."}], r"hints\.0=.*: give a text, or text, turns, prefix, columns"),
        ([3], r"hints\.0=3: give a text"),
        ([{"turns": [["a"]]}], r"hints\.0\.turns: give a list of \[question, answer\] pairs"),
        ([{"turns": 3}], r"hints\.0\.turns: give a list"),
    ],
)
def test_what_is_no_hint_is_refused_in_one_line(hints, line):
    with pytest.raises(UserError, match=line):
        made(FixedHints, hints=hints)


def test_a_column_that_a_problem_lacks_is_refused_before_anything_is_spent():
    hint = {"text": "{plan}", "columns": True}
    problems = Problems([*PROMPTS[:3], prompt(3, plan="add")])
    with pytest.raises(UserError, match="row 0 has no column 'plan'"):
        made(FixedHints, problems, hints=[hint])
