"""Hints written from the gold answer, which they may not tell."""

import logging
from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2o.evolution.leak import tells
from p2o.evolution.self_hint import SelfHints
from p2o.hints.problems import Problems
from p2o.learning.record_rows import exchange_rows
from p2o.prompt import Prompt
from p2o_callbacks import Exchange, TemplateTrial
from p2o_callbacks.pool_files import Moment
from tests.evolution.kinds import IDS, NUMBER, PROMPTS, Policy, evolve, made


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
    # It was written twice, and equal hints are one.
    assert found.leaks == 1


GOLDS = {"A square has how many corners?": "4", "A hand has how many fingers?": "5"}


@pytest.mark.parametrize(("leaks", "kept"), [("reject", False), ("warn", True), ("off", True)])
def test_a_short_answer_that_stands_in_a_hint_is_told_of_and_thrown_away(leaks, kept, caplog):
    """It may stand in any text by chance, but the writer of this one was told it."""
    prompts = [Prompt.create([{"role": "user", "content": q}], gold) for q, gold in GOLDS.items()]
    square, hand = (prompt.id for prompt in prompts)
    texts = iter(["Mind the 4 sides.", "Draw it."])
    writer = Writer(lambda record: next(texts) if "square" in record["Inputs"] else "Look.")
    evolver = made(SelfHints, Problems(prompts), reflection=writer, leaks=leaks)
    found = evolve(evolver, fails, [square, hand])
    tried = {candidate.text for candidate in found.candidates if candidate.dev_scores}
    assert tried == {"Draw it.", "Look."} | ({"Mind the 4 sides."} if kept else set())
    assert found.pool.text_for(square, 0) == "Draw it."
    assert found.leaks == (None if leaks == "off" else 1)
    warned = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    why = f"leaks={leaks}: a hint has the right answer of a problem (4): Mind the 4 sides."
    assert warned == ([] if leaks == "off" else [why])


def fails(pairs):
    return [TemplateTrial(0.0, False, "?", "response", "feedback") for _ in pairs]


class Talker:
    """Keeps what was said."""

    def __init__(self, answer):
        self.answer, self.exchanges = answer, []

    def bind(self, engine, renderer):
        raise AssertionError("a search does not bind")

    def reflect(self, requests):
        questions = [request.records[0]["Inputs"] for request in requests]
        texts = [self.answer(place, question) for place, question in enumerate(questions)]
        self.exchanges = [Exchange(q, f"Sure: {t}") for q, t in zip(questions, texts, strict=True)]
        return texts


def test_what_was_asked_for_is_on_record_with_what_became_of_it():
    evolver = made(SelfHints, number=3, reflection=Talker(answer_of))
    found = evolve(evolver, Policy(lambda number, hint: hint.text.startswith("Idea 1")))
    by_problem = defaultdict(list)
    for candidate in found.candidates:
        by_problem[NUMBER[candidate.minibatch[0]]].append(candidate)
        assert (candidate.iteration, candidate.parents) == (1, ())
    assert {len(own) for own in by_problem.values()} == {3}
    for number in set(range(12)) - {3, 7}:
        worse, taken, untried = by_problem[number]
        assert (worse.text, taken.text) == (f"Idea 0 of {number}.", f"Idea 1 of {number}.")
        assert (worse.accepted, worse.reason) == (False, "it does not solve its problem")
        assert (taken.accepted, taken.reason) == (True, "")
        assert (untried.accepted, untried.reason) == (False, "not tried")
        scores = [list(each.dev_scores.values()) for each in (worse, taken, untried)]
        assert scores == [[0.0], [1.0], []]
    # All of the answers, also those that are of no use.
    assert {each.reason for each in by_problem[3]} == {"nothing was written that can be a hint"}
    assert {(each.text, each.reason) for each in by_problem[7]} == {("", "it tells the answer")}
    rows = exchange_rows(Moment(1), found.candidates)
    assert [row["candidate"] for row in rows] == list(range(36))
    assert rows[0]["prompt"] == PROMPTS[NUMBER[found.candidates[0].minibatch[0]]].question


def answer_of(place, question):
    number = int(question[8:-1])
    if number == 3:
        return None
    return f"It is {100 + number}." if number == 7 else f"Idea {place % 3} of {number}."


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
