"""A share of each reference solution: constant, annealed, adaptive."""

import pytest

from p2o.errors import UserError
from p2o.evolution.shares import AdaptiveShare, AnnealedShare, ConstantShare
from p2o.evolution.solution_share import PartOfSolution, SolutionShare
from p2o.hints.filling import fill
from p2o.hints.problems import ProblemOutcome, Problems
from p2o.prompt import Prompt
from p2o_callbacks.hint import as_hint
from tests.evolution.kinds import IDS, PROMPTS, Policy, evolve, made


def never(number, hint):
    raise AssertionError("it tries nothing")


def shares(pool):
    """What share of its solution each problem is shown; 0 where it is bare."""
    prefixes = {sample: as_hint(pool.hint_for(sample, 0)).prefix for sample in pool.assignment}
    return {
        sample: float(prefix.removeprefix("{solution:").removesuffix("%}") or 0) / 100
        for sample, prefix in prefixes.items()
    }


@pytest.mark.parametrize(
    ("place", "text", "prefix"),
    [
        ("question", "It begins: first 3 second 3", ""),
        ("answer", "", "first 3 second 3"),
    ],
)
def test_the_first_part_stands_where_it_is_to_stand(place, text, prefix):
    evolver = made(SolutionShare, share=ConstantShare(0.5), place=place, text="It begins: {part}")
    found = evolve(evolver, Policy(never))
    assert found.metric_calls == 0
    assert set(found.pool.assignment) == set(IDS)
    hint = fill(as_hint(found.pool.hint_for(PROMPTS[3].id, 0)), PROMPTS[3])
    assert (hint.text, hint.prefix) == (text, prefix)


def test_an_annealed_share_ends_with_the_bare_problem():
    evolver = made(SolutionShare, share=AnnealedShare(0.75, 0.0, 4), place="answer")
    seen = [set(shares(evolve(evolver, Policy(never)).pool).values()) for _ in range(5)]
    assert seen == [{0.75}, {0.5}, {0.25}, {0.0}, {0.0}]


def test_between_searches_a_problem_keeps_its_share_though_groups_may_be_larger():
    evolver = made(SolutionShare, share=ConstantShare(0.5), place="answer")
    found = evolve(evolver, Policy(never), IDS[:4])
    dealt = evolver.deal(found.pool, IDS[2:6], group_size=6, seed=0)
    assert dealt == {sample: (0,) * 6 for sample in IDS[2:6]}


def test_where_no_share_is_left_all_problems_stay_bare():
    evolver = made(SolutionShare, share=AnnealedShare(0.0), place="answer")
    found = evolve(evolver, Policy(never), IDS[:4])
    dealt = evolver.deal(found.pool, IDS[2:6], group_size=6, seed=0)
    assert dealt == {sample: (None,) * 6 for sample in IDS[2:6]}


def test_an_annealed_share_goes_on_where_a_checkpoint_was():
    first, rule = Problems(PROMPTS), AnnealedShare(0.75, 0.0, 4)
    evolve(made(SolutionShare, first, share=rule, place="answer"), Policy(never))
    second = Problems(PROMPTS)
    second.load_state_dict(first.state_dict())
    found = evolve(made(SolutionShare, second, share=rule, place="answer"), Policy(never))
    assert set(shares(found.pool).values()) == {0.5}


def test_an_adaptive_share_follows_each_problems_success_rate():
    problems = Problems(PROMPTS)
    evolver = made(
        SolutionShare, problems, share=AdaptiveShare(0.5, 0.25, 0.5, 0.75), place="answer"
    )
    easy, hopeless, right, unseen = IDS[:4]
    assert set(shares(evolve(evolver, Policy(never)).pool).values()) == {0.5}
    for expected in ({easy: 0.25, hopeless: 0.75}, {easy: 0.0, hopeless: 0.75}):
        problems.note(
            [
                ProblemOutcome(easy, 1.0, True, None),
                ProblemOutcome(hopeless, 0.0, True, None),
                ProblemOutcome(right, 0.5, True, None),
            ]
        )
        found = shares(evolve(evolver, Policy(never), IDS[:4]).pool)
        assert found == {right: 0.5, unseen: 0.5, **expected}


def test_an_adaptive_share_comes_back_where_the_bare_problem_fails():
    problems = Problems(PROMPTS)
    rule = AdaptiveShare(0.5, 0.25, 0.5, 0.75)
    [sample] = IDS[:1]

    def after(rate, hinted):
        problems.note([ProblemOutcome(sample, rate, hinted, None, judged=4)])
        return rule.shares([sample], problems)[sample]

    problems.note([ProblemOutcome(sample, 0.0, False, None, judged=4)])
    assert rule.shares([sample], problems)[sample] == 0.5
    assert [after(1.0, True), after(1.0, True)] == [0.25, 0.0]
    assert [after(1.0, False), after(0.0, False), after(0.0, True)] == [0.0, 0.25, 0.5]
    # What has moved the share does not move it again.
    assert rule.shares([sample], problems)[sample] == 0.5
    assert [after(1.0, True), after(1.0, True)] == [0.25, 0.0]
    assert rule.shares([sample], problems)[sample] == 0.0


def test_a_row_without_a_solution_is_named():
    bare = Prompt.create([{"role": "user", "content": "?"}], "1", row=5)
    with pytest.raises(UserError, match="row 5 has no column 'solution'"):
        made(SolutionShare, Problems([*PROMPTS, bare]), share=ConstantShare())


def test_a_text_without_a_place_for_the_part_is_refused():
    with pytest.raises(UserError, match="write {part} where the solution's part belongs"):
        made(SolutionShare, share=ConstantShare(), text="Think.")


def test_only_the_beginning_of_an_answer_can_be_learned():
    assert PartOfSolution("answer", learned=True).hint(1.0).learned
    with pytest.raises(UserError, match="^learned=true: .*place=answer"):
        PartOfSolution("question", learned=True)
