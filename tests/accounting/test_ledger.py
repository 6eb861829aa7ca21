import json
from typing import Any, cast

import pytest

from p2o.accounting.ledger import Ledger, MeteredEngine, MeteredEnvironment, MeteredReflection
from p2o.learning.throughput import flops_a_token
from p2o.prompt import Prompt
from p2o.reflection import Phrasebook
from p2o.reflection.base import ReflectionRequest
from p2o.rollout.engine import SamplingParameters
from p2o.rollout.environment import SingleTurn
from p2o.rollout.hf import HFEngine


def test_time_goes_to_the_innermost_phase(monkeypatch):
    now = 100.0
    monkeypatch.setattr("p2o.accounting.ledger.time.monotonic", lambda: now)
    ledger = Ledger()
    with ledger.phase("train"):
        now += 1
        with ledger.phase("evolution"):
            now += 2
        now += 4
    now += 8
    assert ledger.total("seconds", ["train"]) == 5
    assert ledger.total("seconds", ["evolution"]) == 2


def test_a_phase_ends_when_its_block_fails():
    ledger = Ledger()
    with pytest.raises(ZeroDivisionError), ledger.phase("evolution"):
        _ = 1 / 0
    ledger.add(rollouts=1)
    assert ledger.state_dict()["train"]["rollouts"] == 1


def test_what_is_broken_off_is_taken_back_but_for_time_that_does_not_come_again(monkeypatch):
    now = 100.0
    monkeypatch.setattr("p2o.accounting.ledger.time.monotonic", lambda: now)
    ledger = Ledger()
    with ledger.phase("evolution"):
        now += 1
        ledger.add(rollouts=5)
    ledger.keep()
    for phase in ("evolution", "train"):
        with ledger.phase(phase):
            now += 10
            ledger.add(rollouts=7)
    ledger.take_back()
    counts = ledger.counts()
    assert (counts["evolution"]["rollouts"], counts["train"]["rollouts"]) == (5, 0)
    # A search that is made again gets its seconds from its journal.
    assert (counts["evolution"]["seconds"], counts["train"]["seconds"]) == (1, 10)


def test_operations_are_those_of_tokens_read_and_trained_on_but_for_evaluation(tiny_model):
    # 6 N D for D tokens with gradient, 2 N D for those without (arXiv 2001.08361, section 2.1).
    forward, training = flops_a_token(tiny_model)
    ledger = Ledger((forward, training))
    with ledger.phase("train"):
        ledger.add(generated_tokens=100, trained_tokens=10)
    with ledger.phase("scoring"):
        ledger.add(scored_tokens=40)
    with ledger.phase("evolution"):
        ledger.add(generated_tokens=7, reflection_tokens=3)
    with ledger.phase("evaluation"):
        ledger.add(generated_tokens=1000)
    assert training == 3 * forward > 0
    assert ledger.training_flops == forward * (150 + 3 * 10)
    assert Ledger().training_flops == 0


def test_every_sample_of_an_engine_is_counted(tiny_model):
    ledger = Ledger()
    engine = MeteredEngine(HFEngine(tiny_model), ledger)
    with ledger.phase("evaluation"):
        completions = engine.generate(
            [[4, 5], [4, 6, 5]], SamplingParameters(max_new_tokens=4), [0, 1]
        )
    engine.frozen_copy().generate([[4]], SamplingParameters(max_new_tokens=2), [0])
    state = ledger.state_dict()
    assert state["evaluation"]["generated_tokens"] == sum(len(c.token_ids) for c in completions)
    assert 1 <= state["train"]["generated_tokens"] <= 2


def test_every_rollout_of_an_environment_is_counted():
    ledger = Ledger()
    environment = MeteredEnvironment(SingleTurn(), ledger)
    problem, nothing = Prompt.create([{"role": "user", "content": "?"}], "7"), None
    for phase in ("train", "evaluation", "evaluation"):
        with ledger.phase(phase):
            environment.run(problem, "", cast(Any, nothing)).close()
    state = ledger.state_dict()
    assert (state["train"]["rollouts"], state["evaluation"]["rollouts"]) == (1, 2)
    assert ledger.training_rollouts == 1


def test_reflections_count_as_evolution_and_not_as_rollouts():
    ledger = Ledger()
    MeteredReflection(Phrasebook(), ledger).reflect(
        [ReflectionRequest("", [{"solved": False}], 1)] * 3
    )
    assert ledger.state_dict()["evolution"]["reflection_calls"] == 3
    assert ledger.training_rollouts == 0


def test_state_is_json_and_comes_back():
    ledger = Ledger()
    with ledger.phase("scoring"):
        ledger.add(scored_tokens=7)
    other = Ledger()
    other.load_state_dict(json.loads(json.dumps(ledger.state_dict())))
    assert other.state_dict() == ledger.state_dict()
