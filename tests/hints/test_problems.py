"""What a search knows of the problems."""

import json

from p2o.hints.problems import ProblemOutcome, Problems
from p2o.prompt import Prompt

PROMPTS = [Prompt.create([{"role": "user", "content": f"{n}?"}], str(n)) for n in range(4)]
A, B, C, D = (prompt.id for prompt in PROMPTS)


def solved(prompt_id, solution):
    return ProblemOutcome(prompt_id, 0.5, False, solution)


def test_the_newest_solutions_are_kept_and_no_more_than_asked_for():
    problems = Problems(PROMPTS)
    problems.keep = 2
    problems.note([solved(A, "one"), solved(B, "two")])
    problems.note([solved(A, " newer "), solved(C, "three"), solved(D, None)])
    assert problems.solutions == {A: "newer", C: "three"}


def test_nothing_is_kept_where_nobody_asks():
    problems = Problems(PROMPTS)
    problems.note([solved(A, "one")])
    assert problems.solutions == {}


def test_the_success_rate_is_that_of_the_last_group_with_hints():
    problems = Problems(PROMPTS)
    problems.note([ProblemOutcome(A, 0.25, True, None), ProblemOutcome(B, 0.0, False, None)])
    problems.note([ProblemOutcome(A, 1.0, False, None)])
    assert problems.hinted_rates == {A: 0.25}


def test_a_group_without_a_verdict_says_nothing_of_the_success_rate():
    problems = Problems(PROMPTS)
    problems.note([ProblemOutcome(A, 0.25, True, None)])
    problems.note([ProblemOutcome(A, None, True, None)])
    assert problems.hinted_rates == {A: 0.25}


def test_hints_are_for_hard_problems_or_for_all():
    problems = Problems(PROMPTS)
    assert problems.samples("hard", [B, A, B]) == sorted([A, B])
    assert problems.samples("all", []) == sorted([A, B, C, D])


def test_it_survives_a_checkpoint():
    problems, other = Problems(PROMPTS), Problems(PROMPTS)
    problems.keep = other.keep = 2
    problems.note([solved(B, "two"), solved(A, "one"), ProblemOutcome(C, 0.5, True, None)])
    problems.memory["share"] = 0.5
    other.load_state_dict(json.loads(json.dumps(problems.state_dict())))
    assert other.state_dict() == problems.state_dict()
    # The oldest leaves first, then as before.
    other.note([solved(D, "four")])
    assert list(other.solutions) == [A, D]


def test_a_hard_set_of_other_data_has_the_problems_that_there_are():
    """Of a run that goes on with corrected data; a project that tells of none has all of them."""
    problems = Problems([Prompt.create([{"role": "user", "content": "?"}], "1")])
    [known] = problems.prompts
    assert problems.samples("hard", [known, "gone"]) == [known]
    assert Problems([]).samples("hard", ["b", "a"]) == ["a", "b"]
    state = {**problems.state_dict(), "solutions": {"gone": "7"}, "bare": {"gone": (0, 4)}}
    problems.load_state_dict(state)
    assert (problems.solutions, problems.bare) == ({}, {})
