"""Every push is compared with the policy, whatever is pushed and wherever it gets lost."""

import copy
import tempfile
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM

from p2o.errors import EngineError
from p2o.policy.causal import CausalPolicy
from p2o.policy.likeness import model_log_probs
from p2o.rollout.engine import Completion, SamplingParameters
from p2o.rollout.pushed import PushedEngine
from tests.rollout.policies import adapted, routed, tied

PROMPTS = [[1, 7, 9, 11, 30, 31], [1, 11, 12, 13, 14, 5]]
SAMPLING = SamplingParameters(max_new_tokens=1)


class ReadsCheckpoints:
    """A backend that takes weights as engines do: by the names and the config of a checkpoint."""

    max_length = 64

    def __init__(self, config):
        self.version, self.config = "", config
        self.model: Any = None
        self.arrives = lambda weights: weights

    def load(self, weights):
        content = self.arrives({n: w.contiguous().clone() for n, w in weights})
        if self.config.tie_word_embeddings:
            content.pop("lm_head.weight")
        with tempfile.TemporaryDirectory() as folder:
            self.config.save_pretrained(folder)
            save_file(content, Path(folder) / "model.safetensors", {"format": "pt"})
            self.model = AutoModelForCausalLM.from_pretrained(folder)

    def sample(self, prompts, sampling, seeds):
        return [self.one_token(prompt) for prompt in prompts]

    @torch.no_grad()
    def one_token(self, prompt):
        log_probs = self.model(torch.tensor([prompt])).logits[0, -1].log_softmax(-1)
        token = int(log_probs.argmax())
        return Completion((token,), "length", (float(log_probs[token]),))

    def score(self, sequences):
        return model_log_probs(self.model, sequences)[None]

    def release(self):
        pass


def engine_of(policy) -> Any:
    base = policy.get_base_model() if hasattr(policy, "get_base_model") else policy
    config = copy.deepcopy(base.config)
    config.architectures = [type(base).__name__]
    return PushedEngine(ReadsCheckpoints(config), policy, probe_bound=1e-4)


def push(engine):
    return engine.generate(PROMPTS, SAMPLING, [0, 1])


POLICIES = {
    "a buffer": routed,
    "LoRA on tied embeddings": lambda: adapted("embed_tokens"),
    "LoRA on a tied head": lambda: adapted("lm_head"),
    "a tied head": tied,
}


@pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES)
def test_what_arrives_is_the_policy_followed_frozen_or_first(policy):
    policy = policy()
    engine = engine_of(policy)
    assert len(push(engine)) == 2
    frozen = engine.frozen_copy()
    with torch.no_grad():
        for parameter in policy.parameters():
            parameter.mul_(1.1)
    engine.update_weights(CausalPolicy(policy, 1.0))
    push(engine)
    push(frozen)
    push(engine)


def test_frozen_copies_of_different_moments_have_their_own_weights():
    policy = tied()
    engine = engine_of(policy)
    first = engine.frozen_copy()
    with torch.no_grad():
        policy.model.embed_tokens.weight.mul_(1.1)
    for frozen in (first, engine.frozen_copy()):
        push(frozen)
        arrived = engine.backend.model.get_input_embeddings().weight
        assert torch.equal(arrived, dict(frozen.frozen)["model.embed_tokens.weight"])


def lose_buffers(weights):
    return {n: torch.zeros_like(w) if "bias" in n else w for n, w in weights.items()}


def lose_a_layer(weights):
    return {n: torch.zeros_like(w) if "layers.0.mlp" in n else w for n, w in weights.items()}


@pytest.mark.parametrize("who", ["first", "followed", "frozen"])
@pytest.mark.parametrize("lost", [lose_buffers, lose_a_layer])
def test_what_gets_lost_on_the_way_stops_the_run(who, lost):
    policy = routed()
    engine = engine_of(policy)
    if who == "followed":
        engine.update_weights(CausalPolicy(policy, 1.0))
    if who == "frozen":
        engine = engine.frozen_copy()
    engine.backend.arrives = lost
    with pytest.raises(EngineError, match="some weights did not arrive"):
        push(engine)


def test_an_update_of_one_row_of_the_embeddings_is_pushed():
    policy = tied()
    engine = engine_of(policy)
    engine.update_weights(CausalPolicy(policy, 1.0))
    push(engine)
    with torch.no_grad():
        policy.model.embed_tokens.weight[40] += 1.0
    engine.update_weights(CausalPolicy(policy, 1.0))
    push(engine)
    arrived = engine.backend.model.get_input_embeddings().weight
    assert torch.equal(arrived, policy.model.embed_tokens.weight)
