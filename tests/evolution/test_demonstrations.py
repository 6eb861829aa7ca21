"""Solved problems as hints."""

from p2o.evolution.demonstrations import Demonstrations, SimilarDemonstrations
from p2o.hints.problems import ProblemOutcome, Problems
from p2o.prompt import Prompt
from p2o_callbacks.hint import as_hint
from tests.evolution.kinds import IDS, NUMBER, PROMPTS, Policy, evolve, made, with_solutions

SOLVED = range(6)
HARD = [sample for sample in IDS if NUMBER[sample] >= 6]


def shown(hint):
    return {question for question, _ in as_hint(hint).turns}


def helps(wanted):
    """Solves what is shown a certain solved problem."""
    return lambda number, hint: f"What is {wanted}?" in shown(hint)


def test_candidates_are_the_policys_own_solutions():
    policy = Policy(helps(3))
    found = evolve(
        made(Demonstrations, with_solutions(SOLVED), number=2, candidates=6, rounds=2), policy, HARD
    )
    assert found.metric_calls == len(policy.tried)
    bare, *others = found.pool.templates
    assert bare.empty
    for template in others:
        assert len(template.turns) == 2
        for question, answer in template.turns:
            number = int(question.removeprefix("What is ").removesuffix("?"))
            assert number in SOLVED
            assert answer == f"It is {100 + number}"
    assert {len(t.dev_scores) for t in found.pool.templates} == {3}
    # What helps is in use, and everybody has it.
    assert all("What is 3?" in shown(found.pool.hint_for(sample, 0)) for sample in HARD)


def test_later_rounds_exchange_one_problem_of_the_best():
    policy = Policy(helps(3))
    found = evolve(
        made(Demonstrations, with_solutions(SOLVED), number=2, candidates=6, rounds=2), policy, HARD
    )
    first = [t for t in found.pool.templates[1:7]]
    best = max(first, key=lambda t: t.score or 0.0)
    for child in found.pool.templates[1 + len(first) :]:
        assert len(set(child.turns) & set(best.turns)) >= 1


def test_a_problem_that_helps_itself_is_not_shown_to_itself():
    policy = Policy(lambda number, hint: f"What is {number}?" in shown(hint))
    found = evolve(made(Demonstrations, with_solutions(range(12)), number=4), policy)
    assert found.metric_calls > 0
    assert not any(template.solved for template in found.pool.templates)


def test_without_a_success_nothing_is_tried():
    policy = Policy(helps(3))
    for kind in (Demonstrations, SimilarDemonstrations):
        found = evolve(made(kind, Problems(PROMPTS)), policy, HARD)
        assert (found.metric_calls, found.pool.in_use) == (0, ())
    assert not policy.tried


def test_the_same_seed_gives_the_same_search():
    def search(seed):
        return evolve(made(Demonstrations, with_solutions(SOLVED)), Policy(helps(3)), HARD, seed)

    assert search(1) == search(1)
    assert search(1) != search(2)


def test_it_asks_for_solutions_to_be_kept():
    problems = Problems(PROMPTS)
    made(Demonstrations, problems, keep=7)
    made(SimilarDemonstrations, problems, keep=3)
    assert problems.keep == 7


def test_a_problem_is_shown_what_is_most_like_it_in_growing_number():
    texts = ["red apple cake tin", "red apple box", "red wine", "blue sea", "red apple cake"]
    prompts = [Prompt.create([{"role": "user", "content": text}], "1") for text in texts]
    problems = Problems(prompts)
    evolver = made(SimilarDemonstrations, problems, number=3)
    problems.note([ProblemOutcome(p.id, 1.0, False, "fine") for p in prompts])
    [ladder] = evolver.ladders([prompts[4].id], 0).values()
    assert [[question for question, _ in hint.turns] for hint in ladder] == [
        texts[:1],
        texts[1::-1],
        texts[2::-1],
    ]


def test_it_takes_the_fewest_that_work():
    policy = Policy(lambda number, hint: len(hint.turns) >= 2)
    found = evolve(made(SimilarDemonstrations, with_solutions(SOLVED), number=4), policy, HARD)
    assert {len(as_hint(found.pool.hint_for(sample, 0)).turns) for sample in HARD} == {2}
    assert found.metric_calls == 2 * len(HARD)
