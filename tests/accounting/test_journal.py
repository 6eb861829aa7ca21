"""What a search has paid for is kept on disk and found again."""

import json
from functools import partial
from typing import Any

import pytest
import torch
from torch import nn

from p2o.accounting.journal import (
    Journal,
    JournaledEngine,
    JournaledReflection,
    _with_checksum,
)
from p2o.accounting.ledger import Ledger, MeteredReflection
from p2o.reflection.base import ReflectionRequest
from p2o.rollout.engine import Completion, SamplingParameters
from p2o.rollout.weights import fingerprint
from p2o_callbacks import Exchange

SAMPLING = SamplingParameters(max_new_tokens=4)


class Counting:
    """An engine whose answers tell how often it was asked."""

    def __init__(self):
        self.asked = 0

    def generate(self, prompts, sampling, seeds):
        self.asked += 1
        return [Completion((self.asked, *prompt), "stop", (-0.1, -0.2)) for prompt in prompts]

    def update_weights(self, policy):
        pass

    def frozen_copy(self):
        return type(self)()

    def release(self):
        pass


class Teacher:
    def __init__(self):
        self.tokens, self.asked = 0, 0

    def bind(self, engine, renderer):
        pass

    def reflect(self, requests) -> list[str | None]:
        self.asked += 1
        self.tokens += 10 * len(requests)
        return [None, *(f"template {r.seed}" for r in requests[1:])]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "deep" / "journal_0.jsonl"


def engine_at(path, policy) -> Any:
    engine: Any = JournaledEngine(Counting(), Journal(path.parent))
    engine.update_weights(policy)
    return engine


def test_what_was_sampled_is_not_sampled_again_in_another_process(path):
    policy = nn.Linear(3, 3)
    first, second = engine_at(path, policy), engine_at(path, policy)
    sampled = first.generate([(1, 2), (3,)], SAMPLING, [7, 8])
    second = engine_at(path, policy)
    assert second.generate([(1, 2), (3,)], SAMPLING, [7, 8]) == sampled
    assert second.engine.asked == 0


@pytest.mark.parametrize(
    ("prompts", "sampling", "seeds"),
    [
        ([(1, 2), (4,)], SAMPLING, [7, 8]),
        ([(1, 2), (3,)], SAMPLING, [7, 9]),
        ([(1, 2), (3,)], SamplingParameters(max_new_tokens=5), [7, 8]),
        ([(1,), (2, 3)], SAMPLING, [7, 8]),
    ],
)
def test_another_question_is_asked(path, prompts, sampling, seeds):
    engine = engine_at(path, nn.Linear(3, 3))
    engine.generate([(1, 2), (3,)], SAMPLING, [7, 8])
    engine.generate(prompts, sampling, seeds)
    assert engine.engine.asked == 2


def test_results_of_other_weights_do_not_count_and_are_dropped(path):
    policy = nn.Linear(3, 3)
    engine_at(path, policy).generate([(1,)], SAMPLING, [7])
    trained = nn.Linear(3, 3)
    trained.load_state_dict(policy.state_dict())
    optimizer = torch.optim.AdamW(trained.parameters(), lr=1e-6)
    trained(torch.ones(3)).sum().backward()
    optimizer.step()
    assert fingerprint(trained) != fingerprint(policy)
    later = engine_at(path, trained)
    later.generate([(1,)], SAMPLING, [7])
    assert later.engine.asked == 1
    assert len(path.read_text().splitlines()) == 1


def test_a_frozen_copy_has_its_own_results(path):
    engine = engine_at(path, nn.Linear(3, 3))
    frozen = engine.frozen_copy()
    engine.generate([(1,)], SAMPLING, [7])
    frozen.generate([(1,)], SAMPLING, [7])
    frozen.generate([(1,)], SAMPLING, [7])
    assert (engine.engine.asked, frozen.engine.asked) == (1, 1)


@pytest.mark.parametrize("lost", [1, 5, 60])
def test_a_line_cut_off_is_asked_for_again_and_the_others_stay(path, lost):
    policy = nn.Linear(3, 3)
    engine = engine_at(path, policy)
    for seed in (1, 2):
        engine.generate([(1,)], SAMPLING, [seed])
    path.write_bytes(path.read_bytes()[:-lost])
    for _ in range(2):
        again = engine_at(path, policy)
        for seed in (1, 2):
            again.generate([(1,)], SAMPLING, [seed])
        # A lost newline alone loses no result.
        assert again.engine.asked == (0 if lost == 1 else 1)
        lost = 1


def test_a_result_that_is_not_as_it_was_written_is_asked_for_again(path):
    policy = nn.Linear(3, 3)
    engine = engine_at(path, policy)
    for seed in (1, 2):
        engine.generate([(1,)], SAMPLING, [seed])
    first, second = path.read_text().splitlines()
    assert "-0.1" in second
    garbled = [first, second.replace("-0.1", "-0.3"), "[]", '"text"', "\x00\x01", "{}"]
    path.write_text("\n".join(garbled) + "\n")
    again = engine_at(path, policy)
    for seed in (1, 2):
        again.generate([(1,)], SAMPLING, [seed])
    assert again.engine.asked == 1


def test_a_folder_in_the_journal_s_place_is_set_aside(path):
    path.mkdir(parents=True)
    engine = engine_at(path, nn.Linear(3, 3))
    engine.generate([(1,)], SAMPLING, [7])
    assert path.is_file()


def test_a_teacher_is_not_asked_again_and_its_tokens_are_counted(path):
    requests = [ReflectionRequest("parent", [{"Inputs": "q", "score": 0.0}], s) for s in (1, 2)]
    first = JournaledReflection(Teacher(), Journal(path.parent))
    templates = first.reflect(requests)
    assert templates == [None, "template 2"]
    again = JournaledReflection(Teacher(), Journal(path.parent))
    assert again.reflect(requests) == templates
    assert (again.reflection.tokens, again.tokens) == (0, 20)
    assert again.reflect(requests[:1]) == [None]
    assert again.tokens == 30


def test_what_a_teacher_said_is_kept_with_its_templates(path):
    class Talking(Teacher):
        exchanges: list[Exchange | None] = []

        def reflect(self, requests):
            self.exchanges = [Exchange("Improve it.", "Go slowly.", True), None]
            return super().reflect(requests)

    requests = [ReflectionRequest("parent", [{"Inputs": "q", "score": 0.0}], s) for s in (1, 2)]
    first = JournaledReflection(Talking(), Journal(path.parent))
    again = JournaledReflection(Talking(), Journal(path.parent))
    for reflection in (first, again):
        metered = MeteredReflection(reflection, Ledger())
        metered.reflect(requests)
        assert metered.exchanges == [Exchange("Improve it.", "Go slowly.", True), None]
    assert again.reflection.tokens == 0


class Telling(Teacher):
    """Writes a template for each request, or none from a place on; notes how many it got."""

    def __init__(self, silent_from=10**9):
        super().__init__()
        self.silent_from, self.parts = silent_from, []
        self.exchanges: list[Exchange | None] = []

    def reflect(self, requests):
        self.parts.append(len(requests))
        self.exchanges = [Exchange(f"prompt {each.seed}", "") for each in requests]
        return [str(each.seed) if each.seed < self.silent_from else None for each in requests]


def asked_for(number):
    return [ReflectionRequest("parent", [{"Inputs": "q"}], seed) for seed in range(number)]


def test_many_reflections_are_asked_for_and_kept_in_parts(path):
    reflection: Any = JournaledReflection(Telling(), Journal(path.parent))
    assert reflection.reflect(asked_for(150)) == [str(seed) for seed in range(150)]
    assert reflection.reflection.parts == [64, 64, 22]
    told = [each and each.prompt for each in reflection.exchanges]
    assert told == [f"prompt {seed}" for seed in range(150)]
    # What has been answered when a process ends is not asked for again.
    path.write_text("\n".join(path.read_text().splitlines()[:2]) + "\n")
    again: Any = JournaledReflection(Telling(), Journal(path.parent))
    assert again.reflect(asked_for(150)) == [str(seed) for seed in range(150)]
    assert again.reflection.parts == [22]


def test_a_teacher_that_is_gone_is_not_asked_for_the_rest(path):
    reflection: Any = JournaledReflection(Telling(silent_from=70), Journal(path.parent))
    templates = reflection.reflect(asked_for(64 * 5))
    assert templates == [str(seed) for seed in range(70)] + [None] * 250
    assert reflection.reflection.parts == [64, 64, 64, 64]
    assert len(reflection.exchanges) == len(templates)


def test_what_was_reflected_before_the_first_trial_is_on_record_with_the_trials(path):
    """Both belong to the weights of now, whichever of the two a search begins with."""
    policy = nn.Linear(3, 3)
    requests = [ReflectionRequest("parent", [{"Inputs": "q", "score": 0.0}], 1)]
    for teachers, asked in ((10, 1), (0, 0)):
        journal = Journal(path.parent)
        engine: Any = JournaledEngine(Counting(), journal)
        teacher: Any = JournaledReflection(Teacher(), journal)
        refresh = partial(engine.update_weights, policy)
        MeteredReflection(teacher, Ledger(), refresh).reflect(requests)
        engine.update_weights(policy)
        engine.generate([(1,)], SAMPLING, [7])
        assert (teacher.reflection.tokens, engine.engine.asked) == (teachers, asked)


def test_the_time_that_a_killed_search_took_is_counted_once(path, monkeypatch):
    now = iter(range(0, 1000, 10))
    policy = nn.Linear(3, 3)
    monkeypatch.setattr("p2o.accounting.journal.time.monotonic", lambda: next(now))
    engine_at(path, policy).generate([(1,)], SAMPLING, [7])
    monkeypatch.undo()
    monkeypatch.setattr("p2o.accounting.ledger.time.monotonic", lambda: 0.0)
    ledger = Ledger()
    again: Any = JournaledEngine(Counting(), Journal(path.parent, ledger))
    again.update_weights(policy)
    for _ in range(2):
        again.generate([(1,)], SAMPLING, [7])
    assert again.engine.asked == 0
    assert ledger.counts()["train"]["seconds"] == 10


@pytest.mark.parametrize("ended", ["stopped", "killed"])
def test_a_search_that_is_stopped_or_killed_and_goes_on_takes_its_time_once(
    path, monkeypatch, ended
):
    """A stop writes a checkpoint within the search; a kill leaves the one from before it."""
    now = 0.0
    for module in ("journal", "ledger"):
        monkeypatch.setattr(f"p2o.accounting.{module}.time.monotonic", lambda: now)

    class Slow(Counting):
        def generate(self, prompts, sampling, seeds):
            nonlocal now
            now += 10
            return super().generate(prompts, sampling, seeds)

    policy, ledger = nn.Linear(3, 3), Ledger()
    for seeds in ([1, 2], [1, 2, 3], [1, 2, 3, 4]):
        engine: Any = JournaledEngine(Slow(), Journal(path.parent, ledger))
        engine.update_weights(policy)
        ledger.keep()
        before = ledger.state_dict()
        for seed in seeds:
            with ledger.phase("evolution"):
                engine.generate([(1,)], SAMPLING, [seed])
        whole = ledger.counts()["evolution"]["seconds"]
        ledger.take_back()
        state = ledger.state_dict() if ended == "stopped" else before
        ledger = Ledger()
        ledger.load_state_dict(state)
    assert whole == 40


def test_a_line_of_another_version_is_asked_for_again(path):
    policy = nn.Linear(3, 3)
    engine_at(path, policy).generate([(1,)], SAMPLING, [7])
    _, _, line = path.read_text().partition(" ")
    path.write_text(_with_checksum(json.dumps(json.loads(line)[:3])) + "\n")
    again = engine_at(path, policy)
    again.generate([(1,)], SAMPLING, [7])
    assert again.engine.asked == 1
