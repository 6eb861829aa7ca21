"""Templates dealt out by what training has shown of them."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2o.hints.evidence import Evidence
from p2o.hints.success import by_success, success_rate
from p2o.prompt import Prompt
from p2o_callbacks import Template, TemplateTrial

PROMPTS = [Prompt.create([{"role": "user", "content": f"{n}?"}], str(n)) for n in range(400)]
A, B = (prompt.id for prompt in PROMPTS[:2])


def evidence(**rollouts):
    """What is known of problems, by a letter: hint to verdicts."""
    known = Evidence({prompt.id: prompt for prompt in PROMPTS})
    known.lasts = 1
    known.note(
        0,
        {
            {"A": A, "B": B}.get(name, name): [
                (hint, TemplateTrial(float(solved), solved, "?", "", ""))
                for hint, verdicts in tried.items()
                for solved in verdicts
            ]
            for name, tried in rollouts.items()
        },
    )
    return known


def templates(*texts):
    return [Template(text, score=None) for text in texts]


def test_the_rate_is_over_all_problems_and_a_new_hint_is_worth_a_try():
    known = evidence(A={"go": [True, False]}, B={"go": [True, True], "no": [False] * 12})
    assert known.tallies() == {"go": (3, 4), "no": (0, 12)}
    assert success_rate((3, 4)) == 4 / 8
    assert success_rate((0, 0)) == 1 / 4
    assert success_rate((0, 12)) == 1 / 16
    assert known.solved_with("go") == {A, B}
    assert known.solved_with("no") == set()


@given(size=st.integers(1, 9), seed=st.integers(0, 2**62))
def test_half_have_what_solves_the_sample_and_half_what_it_has_not_been_tried_with(size, seed):
    known = evidence(A={"go": [True], "no": [False]})
    drawn = by_success(templates("go", "no", "new"), [A], known, size, seed)[A]
    assert len(drawn) == size
    assert Counter(drawn) == Counter({0: (size + 1) // 2, 2: size // 2})


def test_what_has_failed_is_tried_again_where_there_is_nothing_else():
    known = evidence(A={"go": [True], "no": [False]})
    assert set(by_success(templates("go", "no"), [A], known, 6, 0)[A]) == {0, 1}


def test_the_second_half_is_bare_where_all_templates_solve_the_sample():
    known = evidence(A={"go": [True], "on": [True]})
    drawn = by_success(templates("go", "on"), [A], known, 5, 0)[A]
    assert Counter(index is None for index in drawn) == {False: 3, True: 2}


def test_a_sample_that_nothing_solves_draws_by_success():
    samples = [prompt.id for prompt in PROMPTS[2:]]
    known = evidence(A={"go": [True] * 5, "no": [False] * 20})
    drawn = by_success(templates("go", "no", "new"), samples, known, 6, 0)
    counts = Counter(index for each in drawn.values() for index in each)
    rates = [6 / 9, 1 / 24, 1 / 4]
    for index, rate in enumerate(rates):
        assert counts[index] / sum(counts.values()) == pytest.approx(rate / sum(rates), abs=0.04)


def test_draws_depend_on_the_sample_and_the_seed_alone():
    known, three = evidence(), templates("a", "b", "c")
    alone = by_success(three, [A], known, 6, 3)
    assert by_success(three, [B, A], known, 6, 3)[A] == alone[A]
    assert by_success(three, [A], known, 6, 4) != alone


def test_without_templates_nothing_is_dealt_out():
    assert by_success([], [A], evidence(), 6, 0) == {}
