"""A search that has no trials of its own: training makes them."""

import pytest

from p2o.evolution.in_training import SearchInTraining
from p2o.hints.problems import Problems
from p2o.reflection import Phrasebook
from p2o_callbacks import Candidate, Evolution, PromptPool, Template, TemplateTrial
from tests.evolution.kinds import IDS, NUMBER, PROMPTS, evolve, made

PHRASES = [f"Phrase {letter}." for letter in "ABCDEFGH"]


def never(pairs):
    raise AssertionError("it tries nothing")


def solves(sample, hint):
    """Each of two phrases helps with half of the problems; the others with none."""
    return PHRASES[NUMBER[sample] % 2] in hint


class Training:
    """Rolls out what is dealt out, epoch by epoch, and tells the evidence of it."""

    def __init__(self, helps=solves, book=None, **options):
        self.problems, self.helps = Problems(PROMPTS), helps
        book = book or Phrasebook(phrases=PHRASES, max_phrases=2)
        self.evolver = made(SearchInTraining, self.problems, reflection=book, **options)
        self.roll_out(0, PromptPool())

    def roll_out(self, epoch, pool, samples=IDS, size=4):
        """Share of rollouts that are right."""
        tried = {}
        for sample in samples:
            hints = [pool.text_for(sample, k) for k in range(size)]
            tried[sample] = [(hint, self.trial(sample, hint)) for hint in hints]
        self.problems.evidence.note(epoch, tried)
        trials = [trial for each in tried.values() for _, trial in each]
        return sum(trial.score for trial in trials) / len(trials)

    def trial(self, sample, hint):
        solved = self.helps(sample, hint)
        prompt = PROMPTS[NUMBER[sample]]
        return TemplateTrial(
            float(solved), solved, prompt.question, "response", "feedback", answers=prompt.golds
        )

    def epochs(self, count):
        """Share of rollouts that are right, and what was found, of each epoch."""
        told = []
        for epoch in range(1, count + 1):
            found = evolve(self.evolver, never, seed=epoch)
            told.append((self.roll_out(epoch, found.pool), found))
        return told


def texts(found):
    """Of the templates in use."""
    return [found.pool.templates[index].text for index in found.pool.cover]


def proposals(found):
    return [each for each in found.candidates if each.iteration == 1]


def test_it_finds_what_helps_each_problem_without_a_trial_of_its_own():
    told = Training().epochs(6)
    assert all(found.metric_calls == 0 for _, found in told)
    assert told[-1][1].solved_before == len(IDS)
    # Half of the rollouts have what is known to work, and no more are dealt it.
    assert told[-1][0] >= 0.5 > told[0][0]


def test_nothing_is_proposed_once_each_problem_has_a_template_that_solves_it():
    *_, (_, last) = Training().epochs(7)
    assert not proposals(last)
    assert all(each.accepted for each in last.candidates[1:])


def test_what_was_tried_and_has_solved_nothing_goes_and_what_solves_stays():
    training = Training()
    first = evolve(training.evolver, never, seed=1)
    training.roll_out(1, first.pool)
    tallies = training.problems.evidence.tallies()
    right = {text for text in texts(first) if tallies.get(text, (0, 0))[0]}
    waiting = set(texts(first)) - tallies.keys()
    second = evolve(training.evolver, never, seed=2)
    assert 0 < len(right) < len(first.pool.templates)
    seed, *before = [each.text for each in second.candidates if each.iteration == 0]
    assert (seed, set(before)) == ("", right | waiting)
    # How it fared is told all the same.
    vain = set(texts(first)) - right - waiting - set(texts(second))
    out_of_use = second.pool.templates[len(second.pool.cover) :]
    assert {each.text for each in out_of_use} == vain
    for each in out_of_use:
        assert set(each.dev_scores.values()) == {0.0}
        assert each.score == 0
        assert not each.solved
    dealt = {index for places in second.pool.assignment.values() for index in places}
    assert dealt - {None} <= set(second.pool.cover)


def test_a_template_names_those_that_it_was_made_of():
    training = Training(proposals=8)
    training.epochs(2)
    named = 0
    for seed in range(9):
        found = evolve(training.evolver, never, seed=seed)
        places = {each.text: each for each in found.pool.templates}
        for each in proposals(found):
            if each.accepted:
                made_of = [found.pool.templates[i].text for i in places[each.text].parents]
                parent = found.candidates[each.parents[0]].text
                assert made_of == ([parent] if parent else [])
                named += len(made_of)
    assert named


def test_a_template_that_works_stays_when_the_problems_that_it_solved_are_no_longer_hard():
    training = Training()
    training.epochs(4)
    tallies = training.problems.evidence.tallies()
    working = {text for text, (right, _) in tallies.items() if right}
    assert any(not solves(IDS[0], text) for text in working)
    assert working <= set(texts(evolve(training.evolver, never, IDS[:1])))


def test_what_has_not_been_tried_yet_waits_and_nothing_is_proposed_in_its_place():
    training = Training(proposals=5)
    first, second = (evolve(training.evolver, never, seed=seed) for seed in (1, 2))
    assert set(texts(first)) <= set(texts(second))
    assert len(texts(second)) <= 5
    assert len(proposals(second)) == 5 - len(texts(first))
    # Also in a run that goes on.
    again = Problems(PROMPTS)
    again.load_state_dict(training.problems.state_dict())
    training.evolver.bind(again)
    assert set(texts(second)) <= set(texts(evolve(training.evolver, never, seed=3)))


@pytest.mark.parametrize("lasts", [1, 2, 3])
def test_where_nothing_helps_there_are_proposals_in_every_epoch(lasts):
    letters = [f"{a}{b}" for a in "ABCDEFGH" for b in "ABCDEFGH"]
    training = Training(
        lambda sample, hint: False, Phrasebook(phrases=letters, max_phrases=4), evidence=lasts
    )
    for _, found in training.epochs(7):
        assert proposals(found)
        assert texts(found)


def test_what_was_wrong_often_enough_is_not_proposed_again():
    training = Training(lambda sample, hint: False, Phrasebook(phrases=["Only this."]))
    (_, first), (_, second) = training.epochs(2)
    assert texts(first) == ["Only this."]
    assert texts(second) == []
    assert {each.reason for each in proposals(second)} == {
        "12 rollouts or more with it were all wrong"
    }


@pytest.mark.parametrize(("action", "kept"), [("reject", 0), ("warn", 1), ("off", 1)])
def test_a_template_that_gives_a_problem_away_does_not_come_in(action, kept):
    told = "The answer is 103."
    training = Training(book=Phrasebook(phrases=[told]), leaks=action)
    found = evolve(training.evolver, never)
    assert len(texts(found)) == kept
    assert found.leaks == {"reject": 1, "warn": 1, "off": None}[action]
    assert (proposals(found)[0].reason == "it gives a problem away") == (not kept)


def test_the_best_is_not_the_one_that_was_lucky_once():
    often, once = PHRASES[0], PHRASES[2]
    training = Training(lambda sample, hint: often in hint or (once in hint and sample == IDS[0]))
    pool = PromptPool((Template(often), Template(once)), (0, 1), {s: (0,) * 4 for s in IDS[1:]})
    training.roll_out(1, pool)
    lucky = PromptPool((Template(once),), (0,), {IDS[0]: (0,) * 4})
    training.roll_out(1, lucky, IDS[:1], size=1)
    assert evolve(training.evolver, never).pool.best == often


def test_proposals_reflect_on_failures_of_their_parent_that_are_known():
    training = Training(minibatch_size=2)
    *_, (_, found) = training.epochs(2)
    proposed = proposals(found)
    assert proposed
    for each in proposed:
        parent = found.candidates[each.parents[0]].text
        assert 1 <= len(each.minibatch) <= 2
        assert all(not solves(sample, parent) for sample in each.minibatch)
        assert set(each.score_before) == {0.0}
    assert found.spared == sum(len(each.minibatch) for each in proposed)
    seeds = [each for each in proposed if each.parents == (0,)]
    assert len(seeds) >= len(proposed) / 2


def test_a_template_is_in_the_pool_once():
    for _, found in Training().epochs(3):
        assert len(texts(found)) == len(set(texts(found)))
        assert texts(found) == [each.text for each in found.candidates if each.accepted]


def test_the_same_evidence_gives_the_same_pool_and_another_seed_another():
    one, two, three = Training(), Training(), Training()
    found = evolve(one.evolver, never)
    assert found == evolve(two.evolver, never, IDS[::-1])
    assert found.pool != evolve(three.evolver, never, seed=1).pool


def test_dealing_anew_uses_what_has_been_learned_since():
    training = Training()
    found = evolve(training.evolver, never, seed=1)
    training.roll_out(1, found.pool)
    dealt = training.evolver.deal(found.pool, IDS, group_size=4, seed=1)
    solved = [s for s in IDS if training.problems.evidence.solved_by(s)]
    assert solved
    for sample in solved:
        first = [found.pool.templates[i].text for i in dealt[sample][:2] if i is not None]
        assert len(first) == 2
        assert all(solves(sample, text) for text in first)
        others = {i for i in dealt[sample][2:] if i is not None}
        assert others
        assert not any(
            found.pool.templates[i].text in training.problems.evidence.solved_by(sample)
            for i in others
        )


@pytest.mark.parametrize("size", [1, 3, 7])
def test_groups_of_any_size_are_dealt_to(size):
    training = Training()
    found = evolve(training.evolver, never, seed=1, group_size=size)
    assert {len(drawn) for drawn in found.pool.assignment.values()} == {size}
    dealt = training.evolver.deal(found.pool, IDS, group_size=2 * size, seed=1)
    assert {len(drawn) for drawn in dealt.values()} == {2 * size}


def test_without_known_failures_nothing_is_proposed():
    evolver = made(SearchInTraining, Problems(PROMPTS))
    found = evolve(evolver, never)
    assert (found.pool, found.candidates) == (PromptPool(), (Candidate(""),))


def test_too_few_samples_get_nothing():
    assert evolve(made(SearchInTraining, minimum=13), never) == Evolution(PromptPool())


def test_problems_that_are_no_more_neither_count_nor_have_templates():
    """A run that goes on with other data has its hard set from before."""
    before = ["gone", *IDS]
    assert evolve(Training(minimum=13).evolver, never, before) == Evolution(PromptPool())
    training = Training()
    found = evolve(training.evolver, never, before)
    assert set(found.pool.assignment) == set(IDS)
    assert set(training.evolver.deal(found.pool, before, group_size=4, seed=0)) == set(IDS)


def test_a_reflection_that_fails_says_so():
    class Silent(Phrasebook):
        def reflect(self, requests) -> list[str | None]:
            return [None] * len(requests)

    training = Training()
    training.evolver.reflection = Silent()
    found = evolve(training.evolver, never)
    assert found.pool == PromptPool()
    assert {each.reason for each in proposals(found)} == {
        "nothing was written that can be a template"
    }


@pytest.mark.parametrize("lasts", [1, 3])
def test_it_asks_for_as_much_evidence_as_it_uses(lasts):
    problems = Problems(PROMPTS)
    made(SearchInTraining, problems, evidence=lasts)
    assert problems.evidence.lasts == lasts
