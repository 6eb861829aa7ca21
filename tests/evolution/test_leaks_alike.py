"""What guards look up says the same, in the same words, as going over all problems does."""

from collections import defaultdict
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p2o.data.contamination import ngrams
from p2o.evolution import known_problems, leaks
from p2o.evolution.fixed import FixedHints
from p2o.evolution.guarded import HintGuard
from p2o.evolution.known_problems import KnownProblems, stock_runs
from p2o.evolution.leaks import (
    RUN,
    STOCK,
    KnownAnswers,
    LeakGuard,
    answer_of_a_problem,
    numbers_in,
    runs_of,
    words_in,
    words_of_a_problem,
)
from p2o.hints.evidence import Evidence
from p2o.hints.problems import Problems
from p2o.prompt import Prompt
from p2o_callbacks import Hint, TemplateTrial
from tests.evolution.kinds import Policy, evolve, made

WORDS = ["a", "b", "of", "12", "twelve", "run", "Dog,"]
ANSWERS = ["2", "2.0", "two", "-2", "1024", "1,024", "1/2", "0.5", r"\frac12", "x + 1", "x+1"]
ANSWERS += ["B", "b", "yes", "no", "Wellington", "", "1e400", "2.", "(x+1)"]
SAYING = ["{}", "the answer is {}.", "= {}", r"\boxed{{{}}}", "Write {} lines", "{} or no", "2. {}"]

questions = st.lists(st.sampled_from(WORDS), max_size=RUN + 3).map(" ".join)
answers = st.lists(st.sampled_from(ANSWERS), max_size=3).map(tuple)
said = st.builds(str.format, st.sampled_from(SAYING), st.sampled_from(ANSWERS))


@st.composite
def worlds(draw):
    """Problems, some of them alike, and a template that may have some of their words."""
    asked = draw(st.lists(questions, min_size=1, max_size=5))
    known = draw(st.lists(st.tuples(st.sampled_from(asked), answers), max_size=12))
    parts = st.one_of(st.sampled_from(asked), questions, said)
    return known, " ".join(draw(st.lists(parts, max_size=3)))


def plain_loop(known, template):
    """Why a template gives something away, of all runs and all problems one after the other."""
    having, right = defaultdict(set), KnownAnswers()
    for number, (question, golds) in enumerate(known):
        right.add(golds)
        for run in runs_of(question):
            having[run].add(number)
    words = words_in(template)
    runs = ngrams(words, RUN) if len(words) >= RUN else set()
    text = f" {' '.join(words)} "
    short = [run for run in having if run.count(" ") < RUN - 1 and f" {run} " in text]
    for run in (*sorted(runs & having.keys()), *short):
        if len(having[run]) < STOCK:
            return words_of_a_problem(run)
    for _, golds in known:
        answer = right.said_in(template, golds)
        if answer is not None:
            return answer_of_a_problem(answer)
    return None


@settings(max_examples=300, deadline=None)
@given(worlds())
def test_a_template_gives_away_what_a_loop_over_all_problems_finds(world):
    known, template = world
    guard = LeakGuard("reject")
    for number, (question, golds) in enumerate(known):
        guard.learn(f"{number}", TemplateTrial(0.0, False, question, "", "", answers=golds))
    assert guard.why(template) == plain_loop(known, template)


@settings(max_examples=100, deadline=None)
@given(st.lists(questions, max_size=12))
def test_a_run_is_stock_where_a_loop_over_all_problems_finds_it_often_enough(asked):
    every = {run for question in asked for run in runs_of(question)}
    often = {run for run in every if sum(run in runs_of(q) for q in asked) >= STOCK}
    assert stock_runs(asked) == often


def test_a_template_is_held_against_the_few_answers_that_it_may_have(monkeypatch):
    known = KnownAnswers()
    for number in range(500):
        known.add((str(number), f"{number}.0"))
        known.add(("yes",))
    looked = []
    real = leaks.mentions
    monkeypatch.setattr(leaks, "mentions", lambda *pair: looked.append(pair[1]) or real(*pair))
    assert known.first_said_in("Write 3 lines in 12 steps.") is None
    assert sorted(looked) == ["12", "3", "yes"]
    assert known.first_said_in("The answer is 7.") == "7"
    assert known.first_said_in("Say yes, not 9; the answer is 0.") == "0"
    assert numbers_in("Two of 1,024, or 1/2") == {2, 1024, Fraction(1, 2)}


def asked(number):
    text = f"Box {number} is red, and so we ask: what is the weight of box {number} in grams?"
    return Prompt.create([{"role": "user", "content": text}], str(number))


def test_a_search_reads_its_problems_once_for_all_of_its_guards(monkeypatch):
    prompts = [asked(number) for number in range(20)]
    read = []
    real = known_problems.runs_of
    monkeypatch.setattr(known_problems, "runs_of", lambda text: read.append(text) or real(text))
    stock = prompts[0].question
    evolver = made(FixedHints, Problems(prompts), hints=[stock, f"{stock} Go on."])
    ids = [prompt.id for prompt in prompts]

    class Solver(Policy):
        def _trial(self, sample, hint):
            return TemplateTrial(1.0, True, sample, "", "")

    for _ in range(3):
        found = evolve(evolver, Solver(None), ids)
        evolver.deal(found.pool, ids, group_size=4, seed=0)
    # Once to find what several may share, and once to count that.
    assert len(read) == 2 * len(prompts)


def test_a_guard_knows_the_answers_that_its_search_knows(monkeypatch):
    known = KnownProblems({prompt.id: prompt for prompt in map(asked, range(500, 520))})
    added = []
    monkeypatch.setattr(KnownAnswers, "add", lambda self, golds: added.append(golds))
    for _ in range(3):
        assert not HintGuard("reject", known).withholds(next(iter(known.prompts)), Hint("Go on."))
    assert len(added) == len(known.prompts)


@pytest.mark.parametrize("most", [0, 20_000])
def test_a_problem_whose_rollouts_are_not_kept_is_given_away_all_the_same(monkeypatch, most):
    monkeypatch.setattr(Evidence, "MOST_TEXTS", most)
    prompt = asked(1024)
    evidence = Evidence({prompt.id: prompt})
    evidence.lasts = 1
    trial = TemplateTrial(0.0, False, prompt.question, "r", "f", answers=prompt.golds)
    evidence.note(0, {prompt.id: [("", trial)]})
    guard = LeakGuard("reject")
    guard.learn_shown([prompt.id, "another"], evidence)
    assert guard.why("Take 1024.") == answer_of_a_problem("1024")
