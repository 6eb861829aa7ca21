"""No kind of hint gives a problem away, be it by an answer or by words of the question."""

import logging

import pytest

from p2o.evolution.demonstrations import Demonstrations, SimilarDemonstrations
from p2o.evolution.fixed import FixedHints
from p2o.evolution.guarded import HintGuard
from p2o.evolution.known_problems import KnownProblems
from p2o.evolution.random_template import RandomTemplates
from p2o.evolution.self_hint import SelfHints
from p2o.evolution.solution_share import SearchedShare
from p2o.evolution.tiered import Tiered
from p2o.hints.problems import ProblemOutcome, Problems
from p2o.prompt import Prompt
from p2o_callbacks import TemplateTrial
from p2o_callbacks.hint import Hint, as_hint
from tests.evolution.kinds import IDS, NUMBER, PROMPTS, Policy, evolve, made

TOLD = next(sample for sample in IDS if NUMBER[sample] == 7)
"""Its answer is 107."""
WOLF = "A wolf runs 13 miles in the morning and twice as far in the evening before it rests."


def asked(question, answer):
    return Prompt.create([{"role": "user", "content": question}], answer)


def answers(found):
    """Numbers of problems with a hint, and what their first rollout has."""
    return {NUMBER[s]: found.pool.hint_for(s, 0) for s in IDS if found.pool.hint_for(s, 0)}


def knows(number, hint):
    return True


@pytest.mark.parametrize(("leaks", "told"), [("reject", False), ("warn", True), ("off", True)])
def test_a_listed_hint_is_kept_from_the_problem_that_it_gives_away(leaks, told, caplog):
    for dev_size in (0, 12):
        policy = Policy(knows)
        evolver = made(FixedHints, hints=["Take 107."], dev_size=dev_size, leaks=leaks)
        found = evolve(evolver, policy)
        assert set(answers(found)) == {n for n in range(12) if told or n != 7}
        assert found.leaks == (None if leaks == "off" else 1)
        assert found.metric_calls == len(policy.tried)
        tried = {sample for sample, _ in policy.tried}
        assert (TOLD in tried) <= told
        dealt = evolver.deal(found.pool, [TOLD], group_size=4, seed=3)
        assert set(dealt[TOLD]) == ({0} if told else {None})
    warned = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert bool(warned) == (leaks != "off")
    assert all("a hint has the right answer of a problem (107)" in line for line in warned)


@pytest.mark.parametrize("phrase", ["The answer is 107.", "It is one hundred seven."])
def test_phrases_at_random_are_kept_from_the_problem_that_they_give_away(tmp_path, phrase):
    path = tmp_path / "phrases.txt"
    path.write_text(f"{phrase}\n")
    evolver = made(RandomTemplates, path=str(path), number=1)
    found = evolve(evolver, Policy(None))
    assert set(answers(found)) == set(range(12)) - {7}
    assert found.leaks == 1
    assert found.pool.assignment[TOLD] == (None,) * 4


def test_words_of_a_problem_are_a_leak_to_it_and_stock_phrases_are_none():
    stock = "Give the result as a whole number without any unit."
    prompts = [asked(WOLF, "39"), *(asked(f"Problem {n}. {stock}", "5") for n in range(3))]
    guard = HintGuard("reject", KnownProblems({prompt.id: prompt for prompt in prompts}))
    wolf, other, *_ = (prompt.id for prompt in prompts)
    assert guard.withholds(wolf, Hint("Say: runs 13 miles in the morning and twice; go on."))
    assert not guard.withholds(wolf, Hint("Say: runs 13 miles in the morning and, then go on."))
    assert not guard.withholds(other, Hint("Say: runs 13 miles in the morning and twice."))
    assert not guard.withholds(other, Hint(stock))
    assert guard.withholds(wolf, Hint("", prefix="So it is 39. Answer: 39"))
    assert guard.count == 2


def test_a_solved_problem_gives_another_away_by_its_words_or_a_rare_answer():
    prompts = [asked(WOLF, "39"), asked("What is 1000 and 24?", "1024"), asked("Is it so?", "yes")]
    guard = HintGuard("reject", KnownProblems({prompt.id: prompt for prompt in prompts}))
    wolf, sum_, yes = (prompt.id for prompt in prompts)
    alike = WOLF.replace("before it rests", "and once more at night")
    assert guard.withholds(wolf, Hint("", turns=((alike, "Answer: 60"),)))
    assert guard.withholds(sum_, Hint("", turns=(("What is 2 to 10?", "It is 1,024."),)))
    # Small numbers and labels are the answers to many questions.
    assert not guard.withholds(wolf, Hint("", turns=(("What is 13 thrice?", "Answer: 39"),)))
    assert not guard.withholds(yes, Hint("", turns=(("Is it?", "The answer is yes."),)))
    # A phrase that few problems share is no copy of one.
    phrase = "A cat runs 13 miles in the morning and twice the next day."
    assert not guard.withholds(wolf, Hint("", turns=((phrase, "Answer: 60"),)))
    # In front of itself a problem is not shown.
    assert not guard.withholds(sum_, Hint("", turns=((prompts[1].question, "Answer: 1024"),)))


def family(leak):
    """Twelve problems; the first is hard, and a solved one gives it away."""
    prompts = [asked(f"How many {n} apples are there in box number {n}?", "5") for n in range(11)]
    hard = asked("Count all red apples that lie in boxes behind the old house.", "1234")
    close = asked(f"{hard.question} And now the pears.", "77")
    problems = Problems([hard, close, *prompts])
    problems.keep = 512
    solved = [close, *prompts] if leak == "words" else prompts
    problems.note([ProblemOutcome(p.id, 1.0, False, "Answer: 5") for p in solved])
    if leak == "answer":
        problems.note([ProblemOutcome(prompts[0].id, 1.0, False, "So 1234 less 1229. Answer: 5")])
    return problems, hard


class Blind(Policy):
    """Solves nothing; remembers what was tried."""

    def _trial(self, sample, hint):
        self.tried.append((sample, hint))
        return TemplateTrial(0.0, False, sample, "response", "feedback")


@pytest.mark.parametrize("leak", ["words", "answer"])
def test_alike_problems_are_shown_but_for_those_that_give_away(leak):
    problems, hard = family(leak)
    evolver = made(SimilarDemonstrations, problems, number=4)
    policy = Blind(None)
    found = evolve(evolver, policy, [hard.id])
    [template] = {found.pool.hint_for(hard.id, k) for k in range(4)}
    shown = as_hint(template).turns
    # Another one takes its place.
    assert len(shown) == 4
    assert not any("red apples" in question or "1234" in answer for question, answer in shown)
    assert found.leaks == 0
    let = evolve(made(SimilarDemonstrations, problems, leaks="off"), Blind(None), [hard.id])
    turns = as_hint(let.pool.hint_for(hard.id, 0)).turns
    assert any("red apples" in q or "1234" in a for q, a in turns) or leak == "answer"


@pytest.mark.parametrize("leak", ["words", "answer"])
def test_searched_demonstrations_that_give_away_are_neither_tried_nor_used(leak):
    problems, hard = family(leak)
    others = [sample for sample in problems.prompts if sample != hard.id][2:6]
    evolver = made(Demonstrations, problems, number=6, candidates=2, rounds=1, dev_size=4)

    class Shown(Blind):
        def _trial(self, sample, hint):
            super()._trial(sample, hint)
            solved = bool(hint.turns)
            return TemplateTrial(float(solved), solved, sample, "", "")

    policy = Shown(None)
    for seed in range(4):
        found = evolve(evolver, policy, [hard.id, *others], seed)
        given = [as_hint(found.pool.hint_for(hard.id, k)) for k in range(4)]
        for hint in (*given, *(as_hint(h) for sample, h in policy.tried if sample == hard.id)):
            assert not any("red apples" in q or "1234" in a for q, a in hint.turns)
        assert any(found.pool.hint_for(sample, 0) for sample in others)
        assert found.leaks is not None


def test_a_written_hint_may_have_its_problems_words_and_not_its_answer():
    problems = Problems([asked(WOLF, "39")])
    [sample] = problems.prompts

    class Writer:
        def __init__(self, text):
            self.text = text

        def reflect(self, requests):
            return [self.text for _ in requests]

    def hint(text, **options):
        evolver = made(SelfHints, problems, reflection=Writer(text), number=1, **options)
        return evolve(evolver, Blind(None), [sample]).pool.hint_for(sample, 0)

    assert hint(f"Remember: {WOLF}") == f"Remember: {WOLF}"
    assert hint("Mind that it is 39.") == ""
    assert hint("Mind that it is 39.", leaks="warn") == "Mind that it is 39."


def test_what_shows_the_solution_on_purpose_is_let_through():
    tiers = ["The solution: {solution:25%}", "All of it: {solution:100%}"]
    for evolver in (made(Tiered, tiers=tiers), made(SearchedShare, shares=[0.25, 1.0])):
        found = evolve(evolver, Policy(lambda number, hint: False))
        assert set(answers(found)) == set(range(12))
        assert found.leaks == 0
    # What is written around the columns is looked at.
    found = evolve(made(Tiered, tiers=["It is 107: {solution}"]), Policy(lambda number, hint: True))
    assert set(answers(found)) == set(range(12)) - {7}
    assert PROMPTS[7].id == TOLD
