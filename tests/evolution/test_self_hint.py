"""Hints written from the gold answer, which they may not tell."""

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2o.evolution.leak import tells
from p2o.evolution.self_hint import SelfHints
from tests.evolution.kinds import IDS, NUMBER, Policy, evolve, made


class Writer:
    """Writes what it is told to, problem by problem."""

    def __init__(self, write):
        self.write, self.requests = write, []

    def bind(self, engine, renderer):
        raise AssertionError("a search does not bind")

    def reflect(self, requests):
        self.requests += requests
        return [self.write(request.records[0]) for request in requests]


def test_the_writer_is_told_problem_and_answer_and_the_problem_has_its_hint():
    writer = Writer(lambda record: f"Look at {record['Inputs'][:-1]}.")
    found = evolve(
        made(SelfHints, reflection=writer, number=1), Policy(lambda number, hint: number < 6)
    )
    for sample in IDS:
        assert found.pool.text_for(sample, 0) == f"Look at What is {NUMBER[sample]}."
    assert {r.records[0]["Feedback"] for r in writer.requests} == {
        f"The correct answer is {100 + number}." for number in range(12)
    }
    assert found.metric_calls == 12
    assert len({request.seed for request in writer.requests}) == 12


def test_a_hint_that_tells_the_answer_is_thrown_away(caplog):
    writer = Writer(lambda record: record["Feedback"] if "7" in record["Inputs"] else "Go on.")
    with caplog.at_level(logging.INFO, "p2o"):
        found = evolve(made(SelfHints, reflection=writer), Policy(lambda number, hint: True))
    assert [NUMBER[s] for s in IDS if not found.pool.hint_for(s, 0)] == [7]
    assert "2 of 24 hints told the answer and were thrown away; 1 of 12 problems" in caplog.text
    assert found.leaks == 2


def test_a_writer_that_fails_leaves_problems_bare():
    found = evolve(made(SelfHints, reflection=Writer(lambda record: None)), Policy(None))
    assert (found.metric_calls, found.pool.in_use) == (0, ())


@pytest.mark.parametrize(
    ("hint", "gold", "told"),
    [
        ("The answer is 72.", "72", True),
        ("It is $72.00, of course.", "72", True),
        ("Think of 720 and 172 and 7 2.", "72", False),
        ("You should get seventy-two clips.", "72", True),
        ("Seven is in it.", "72", False),
        ("That makes 1,000 in all.", "1000", True),
        ("one thousand", "1,000", True),
        ("It is below zero: 5.", "-5", True),
        (r"So \frac{1}{2} is left", r"\frac{1}{2}", True),
        (r"So \frac{1}{3} is left", r"\frac{1}{2}", False),
        ("The PARIS of today", "Paris", True),
        ("Parisian streets", "Paris", False),
        ("Mind (B), not (A)", "B", True),
        ("", "72", False),
        ("anything", "", False),
    ],
)
def test_an_answer_is_told_as_a_token_in_any_spelling(hint, gold, told):
    assert tells(hint, ["no such answer", gold]) == told


@given(st.integers(-(10**6), 10**6), st.text("ab .,", max_size=10))
def test_a_number_is_told_wherever_it_stands(number, around):
    assert tells(f"{around} {number} {around}", [str(number)])
    assert not tells(around, [str(number)])
