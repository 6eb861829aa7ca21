"""Templates are tried with the policy as it is and with the sampling of evolution."""

import copy
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from p2o.accounting.ledger import Ledger, MeteredEngine, MeteredEnvironment
from p2o.learning.datamodule import RolloutDataModule
from p2o.learning.sizes import BatchSizes
from p2o.policy.causal import CausalPolicy
from p2o.prompt import Prompt
from p2o.rollout.engine import SamplingParameters
from p2o.rollout.environment import SingleTurn
from p2o.rollout.hf import HFEngine
from p2o.rollout.rendering import ChatRenderer
from p2o.rollout.runner import RolloutRunner
from p2o.verifiers.base import Score, Status
from p2o.verifiers.numeric import Numeric

PROMPTS = [
    Prompt.create([{"role": "user", "content": f"sum of {n} 5 ="}], str(n)) for n in range(3)
]
PAIRS = [(prompt.id, text) for prompt in PROMPTS for text in ("", "sum of")]
TRAIN = SamplingParameters(temperature=1.0, max_new_tokens=3)
HELD_OUT = SamplingParameters(temperature=0.7, max_new_tokens=4)
EVOLUTION = SamplingParameters(temperature=0.0, max_new_tokens=6)


class Elsewhere(HFEngine):
    """Samples with weights of its own, as a server does; remembers how it was asked to."""

    def __init__(self, model):
        super().__init__(copy.deepcopy(model))
        self.asked = []

    def update_weights(self, policy):
        self.model.load_state_dict(policy.model.state_dict())

    def generate(self, prompts, sampling, seeds):
        self.asked.append(sampling)
        return super().generate(prompts, sampling, seeds)


@pytest.fixture
def search(tiny_model, tokenizer):
    """Make a data module, and the engine that its search samples with."""

    def make(verifier=None, evolution=EVOLUTION):
        ledger, engine = Ledger(), Elsewhere(tiny_model)
        runner = RolloutRunner(
            MeteredEngine(engine, ledger),
            ChatRenderer(tokenizer),
            verifier or Numeric(),
            100,
            MeteredEnvironment(SingleTurn(), ledger),
        )
        module: Any = SimpleNamespace(policy=CausalPolicy(tiny_model, 1.0))
        nothing: Any = None
        data = RolloutDataModule(
            train=PROMPTS,
            held_out=[],
            runner=runner,
            search_runner=runner,
            module=module,
            builder=nothing,
            ledger=ledger,
            sizes=BatchSizes(2, 3, 3),
            sampling=TRAIN,
            evolution_sampling=evolution,
            held_out_sampling=HELD_OUT,
            held_out_samples=1,
            seed=0,
        )
        return data, engine

    return make


def test_templates_are_tried_with_the_sampling_of_evolution(search):
    data, engine = search()
    data.evaluate_templates(PAIRS, seed=1)
    assert engine.asked == [EVOLUTION]


def test_templates_are_tried_with_the_weights_of_this_moment(search, tiny_model):
    data, _ = search()
    before = [trial.response for trial in data.evaluate_templates(PAIRS, seed=1)]
    with torch.no_grad():
        for parameter in tiny_model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=torch.manual_seed(3)))
    after = [trial.response for trial in data.evaluate_templates(PAIRS, seed=1)]
    fresh, _ = search()
    assert after != before
    assert after == [trial.response for trial in fresh.evaluate_templates(PAIRS, seed=1)]


def test_what_is_asked_for_is_counted(search):
    data, _ = search()
    data.evaluate_templates(PAIRS, seed=1)
    spent = data.ledger.state_dict()["evolution"]
    assert (spent["metric_calls"], spent["rollouts"]) == (6, 6)


@pytest.mark.parametrize("temperature", [0.0, 0.8])
def test_greedy_trials_say_that_they_are_repeatable_and_are(search, temperature):
    data, _ = search(evolution=replace(EVOLUTION, temperature=temperature))
    first, again = (data.evaluate_templates(PAIRS, seed) for seed in (1, 2))
    assert {trial.repeatable for trial in first} == {temperature == 0}
    assert (first == again) == (temperature == 0)


def test_a_trial_says_what_the_verdict_says_and_is_not_kept_without_one(search):
    class Judge:
        def score(self, responses, prompts):
            verdicts = {
                "0": Score(0.4, Status.OK, solved=True),
                "1": Score(1.0, Status.OK, solved=False),
                "2": Score(0.0, Status.TIMEOUT),
            }
            return [verdicts[prompt.gold] for prompt in prompts]

    data, _ = search(Judge())
    trials = data.evaluate_templates([(prompt.id, "") for prompt in PROMPTS], seed=1)
    assert [(trial.score, trial.solved, trial.repeatable) for trial in trials] == [
        (0.4, True, True),
        (1.0, False, True),
        (0.0, None, False),
    ]
