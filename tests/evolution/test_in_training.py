"""A search that has no trials of its own: training makes them."""

import pytest

from p2o.evolution.in_training import SearchInTraining
from p2o.hints.problems import Problems
from p2o.reflection import Phrasebook
from p2o_callbacks import Evolution, PromptPool, TemplateTrial
from tests.evolution.kinds import IDS, NUMBER, PROMPTS, evolve, made

PHRASES = [f"Phrase {letter}." for letter in "ABCDEFGH"]


def never(pairs):
    raise AssertionError("it tries nothing")


def solves(sample, hint):
    """Each of two phrases helps with half of the problems; the others with none."""
    return PHRASES[NUMBER[sample] % 2] in hint


class Training:
    """Rolls out what is dealt out, epoch by epoch, and tells the evidence of it."""

    def __init__(self, **options):
        self.problems = Problems(PROMPTS)
        book = Phrasebook(phrases=PHRASES, max_phrases=2)
        self.evolver = made(SearchInTraining, self.problems, reflection=book, **options)
        self.roll_out(0, PromptPool())

    def roll_out(self, epoch, pool, size=4):
        tried = {}
        for sample in IDS:
            hints = [pool.text_for(sample, k) for k in range(size)]
            tried[sample] = [(hint, self.trial(sample, hint)) for hint in hints]
        self.problems.evidence.note(epoch, tried)
        trials = [trial for each in tried.values() for _, trial in each]
        return sum(trial.score for trial in trials) / len(trials)

    def trial(self, sample, hint):
        solved = solves(sample, hint)
        return TemplateTrial(float(solved), solved, sample, "response", "feedback")

    def epochs(self, count):
        """Share of rollouts that are right, and what was found, of each epoch."""
        told = []
        for epoch in range(1, count + 1):
            found = evolve(self.evolver, never, seed=epoch)
            told.append((self.roll_out(epoch, found.pool), found))
        return told


def test_it_finds_what_helps_each_problem_without_a_trial_of_its_own():
    told = Training().epochs(6)
    assert all(found.metric_calls == 0 for _, found in told)
    assert told[-1][1].solved_before == len(IDS)
    # Half of the rollouts have what is known to work, and no more are dealt it.
    assert told[-1][0] >= 0.5 > told[0][0]


def test_nothing_is_proposed_once_each_problem_has_a_template_that_solves_it():
    *_, (_, last) = Training().epochs(7)
    assert [each for each in last.candidates if each.iteration == 1] == []
    assert all(each.accepted for each in last.candidates)


def test_what_has_solved_nothing_goes():
    _, (_, second) = Training().epochs(2)
    kept = [each.text for each in second.candidates if each.iteration == 0]
    assert all(any(solves(sample, text) for sample in IDS) for text in kept)


def test_proposals_reflect_on_failures_of_their_parent_that_are_known():
    training = Training(minibatch_size=2)
    *_, (_, found) = training.epochs(2)
    proposed = [each for each in found.candidates if each.iteration == 1]
    assert proposed
    for each in proposed:
        parent = found.candidates[each.parents[0]].text if each.parents else ""
        assert 1 <= len(each.minibatch) <= 2
        assert all(not solves(sample, parent) for sample in each.minibatch)
        assert set(each.score_before) == {0.0}
    assert found.spared == sum(len(each.minibatch) for each in proposed)
    seeds = [each for each in proposed if not each.parents]
    assert len(seeds) >= len(proposed) / 2


def test_a_template_is_in_the_pool_once():
    for _, found in Training().epochs(3):
        texts = [template.text for template in found.pool.templates]
        assert len(texts) == len(set(texts))
        assert texts == [each.text for each in found.candidates if each.accepted]


def test_the_same_evidence_gives_the_same_pool_and_another_seed_another():
    training = Training()
    assert evolve(training.evolver, never) == evolve(training.evolver, never, IDS[::-1])
    assert evolve(training.evolver, never).pool != evolve(training.evolver, never, seed=1).pool


def test_dealing_anew_uses_what_has_been_learned_since():
    training = Training()
    found = evolve(training.evolver, never, seed=1)
    training.roll_out(1, found.pool)
    dealt = training.evolver.deal(found.pool, IDS, group_size=4, seed=1)
    solved = [s for s in IDS if training.problems.evidence.solved_by(s)]
    assert solved
    for sample in solved:
        texts = [found.pool.templates[i].text for i in dealt[sample][:2] if i is not None]
        assert len(texts) == 2
        assert all(solves(sample, text) for text in texts)


def test_without_known_failures_nothing_is_proposed():
    evolver = made(SearchInTraining, Problems(PROMPTS))
    found = evolve(evolver, never)
    assert (found.pool, found.candidates) == (PromptPool(), ())


def test_too_few_samples_get_nothing():
    assert evolve(made(SearchInTraining, minimum=13), never) == Evolution(PromptPool())


def test_a_reflection_that_fails_says_so():
    class Silent(Phrasebook):
        def reflect(self, requests) -> list[str | None]:
            return [None] * len(requests)

    training = Training()
    training.evolver.reflection = Silent()
    found = evolve(training.evolver, never)
    assert found.pool == PromptPool()
    assert {each.reason for each in found.candidates} == {
        "nothing was written that can be a template"
    }


@pytest.mark.parametrize("lasts", [1, 3])
def test_it_asks_for_as_much_evidence_as_it_uses(lasts):
    problems = Problems(PROMPTS)
    made(SearchInTraining, problems, evidence=lasts)
    assert problems.evidence.lasts == lasts
