"""An engine that scores as the policy does and samples otherwise is found out."""

import copy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import MinPLogitsWarper

from p2o.errors import EngineError
from p2o.policy.causal import CausalPolicy
from p2o.rollout.engine import Completion, SamplingParameters
from p2o.rollout.hf import HFEngine
from p2o.rollout.probe import policy_log_probs
from p2o.rollout.pushed import PushedEngine

PROMPTS = [[4, 7, 9], [4, 11, 12, 13, 14, 5], [4, 20, 21]]
SAMPLED = SamplingParameters(temperature=0.7, max_new_tokens=8)


class BentBackend:
    """Has the policy's weights, scores with them, and samples as it pleases."""

    max_length = 128

    def __init__(self, model, min_p=0.0, limit=100):
        self.model, self.min_p, self.limit = copy.deepcopy(model), min_p, limit
        self.version, self.sampled = "", 0

    def load(self, weights):
        self.model.load_state_dict(dict(weights))

    def score(self, sequences):
        policy = CausalPolicy(self.model, 1.0)
        return policy_log_probs(policy, [(ids[:1], ids[1:]) for ids in sequences])[None]

    def sample(self, prompts, sampling, seeds):
        self.sampled += 1
        completions = []
        for prompt, seed in zip(prompts, seeds, strict=True):
            generator, tokens, log_probs = torch.Generator().manual_seed(seed), [], []
            while len(tokens) < min(sampling.max_new_tokens, self.limit):
                ids: Any = torch.tensor([[*prompt, *tokens]])
                logits = self.model(ids).logits[:, -1].detach() / (sampling.temperature or 1.0)
                scores = MinPLogitsWarper(self.min_p)(ids, logits)[0].log_softmax(-1)
                tokens.append(int(torch.multinomial(scores.exp(), 1, generator=generator)))
                log_probs.append(float(scores[tokens[-1]]))
            completions.append(Completion(tuple(tokens), "length", tuple(log_probs)))
        return completions

    def release(self):
        self.version = ""


@pytest.fixture
def peaked(tiny_model):
    """A policy some of whose tokens are improbable enough for truncation to take them."""
    with torch.no_grad():
        for parameter in tiny_model.parameters():
            parameter.mul_(3)
    return tiny_model


def engine(model, **bent):
    pushed: Any = PushedEngine(BentBackend(model, **bent), model, probe_bound=0.1)
    pushed.update_weights(CausalPolicy(model, 1.0))
    return pushed


def test_an_engine_that_samples_from_the_policy_passes(peaked):
    pushed = engine(peaked)
    for sampling in (SAMPLED, SamplingParameters(temperature=0, max_new_tokens=3)):
        assert len(pushed.generate(PROMPTS, sampling, range(3))) == 3


def test_an_engine_that_leaves_improbable_tokens_out_is_found_out(peaked):
    with pytest.raises(EngineError, match="what it has sampled differ from the policy's by"):
        engine(peaked, min_p=0.3).generate(PROMPTS, SAMPLED, range(3))


def test_a_truncated_or_greedy_sample_is_not_compared(peaked):
    pushed = engine(peaked, min_p=0.3)
    pushed.generate(PROMPTS, SamplingParameters(top_p=0.5, max_new_tokens=3), range(3))
    pushed.generate(PROMPTS, SamplingParameters(temperature=0.0, max_new_tokens=3), range(3))
    with pytest.raises(EngineError, match="what it has sampled"):
        pushed.generate(PROMPTS, SAMPLED, range(3))


def test_the_comparison_comes_back_with_each_push(peaked):
    pushed = engine(peaked)
    pushed.generate(PROMPTS, SAMPLED, range(3))
    pushed.backend.min_p = 0.3
    pushed.generate(PROMPTS, SAMPLED, range(3))
    with torch.no_grad():
        for parameter in peaked.parameters():
            parameter.mul_(1.01)
    pushed.update_weights(CausalPolicy(peaked, 1.0))
    with pytest.raises(EngineError, match="what it has sampled"):
        pushed.generate(PROMPTS, SAMPLED, range(3))


def test_an_engine_that_ends_responses_of_its_own_accord_is_found_out(peaked):
    with pytest.raises(EngineError, match="ended a response after 4 tokens, though 8 were allowed"):
        engine(peaked, limit=4).generate(PROMPTS, SAMPLED, range(3))


def test_a_model_that_samples_otherwise_than_it_computes_is_found_out(peaked):
    HFEngine(peaked).generate(PROMPTS, SAMPLED, range(3))
    plain = peaked.forward

    def louder_from_its_cache(*arguments, past_key_values=None, **options):
        output = plain(*arguments, past_key_values=past_key_values, **options)
        if past_key_values is not None:
            output.logits = output.logits * 1.5
        return output

    peaked.forward = louder_from_its_cache
    with pytest.raises(EngineError, match="what it has sampled"):
        HFEngine(peaked).generate(PROMPTS, SAMPLED, range(3))


RANK = """
import sys
import torch.distributed as dist
from p2o.errors import EngineError, UserError
from p2o.policy.causal import CausalPolicy
from p2o.rollout.engine import SamplingParameters
from p2o.rollout.pushed import PushedEngine
from tests.families import make_model
from tests.rollout.test_sampled_probe import BentBackend

rank, folder, fault = int(sys.argv[1]), sys.argv[2], sys.argv[3]
dist.init_process_group("gloo", init_method=f"file://{folder}/group", rank=rank, world_size=2)
model = make_model("llama")
backend = BentBackend(model)
if rank == 1:
    backend.limit, backend.max_length = {"none": (99, 99), "cut": (2, 99), "long": (99, 5)}[fault]
engine = PushedEngine(backend, model, 0.1)
engine.update_weights(CausalPolicy(model, 1.0))
try:
    engine.generate([[3, 4, 5], [6, 7]], SamplingParameters(max_new_tokens=4), [1, 2])
    print("sampled")
except (EngineError, UserError) as error:
    print(error)
"""


@pytest.mark.slow
@pytest.mark.multirank
@pytest.mark.parametrize(
    ("fault", "said"),
    [("none", "sampled"), ("cut", "ended a response after 2 tokens"), ("long", "do not fit into")],
)
def test_what_fails_on_one_rank_fails_on_all(tmp_path, fault, said):
    root = Path(__file__).parents[2]
    ranks = [
        subprocess.Popen(
            [sys.executable, "-c", RANK, str(rank), str(tmp_path), fault],
            cwd=root,
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        for rank in ranks:
            assert said in rank.communicate(timeout=300)[0]
    finally:
        for rank in ranks:
            rank.kill()
