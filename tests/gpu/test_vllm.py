"""vLLM beside the trainer on one GPU: it gives its memory back, and wakes with new weights."""

from typing import Any

import pytest
import torch

from p2o.policy.causal import CausalPolicy
from p2o.rollout.engine import SamplingParameters
from p2o.rollout.vllm import vllm_engine
from tests.engines.conftest import make_policy
from tests.engines.test_contract import GREEDY, PROMPTS, SAMPLED, reference

pytestmark = pytest.mark.gpu

SHARE = 0.3


def on_gpu() -> Any:
    policy: Any = make_policy()
    return policy.cuda()


def free() -> int:
    torch.cuda.empty_cache()
    return torch.cuda.mem_get_info()[0]


@pytest.fixture(scope="module")
def policy() -> Any:
    return on_gpu()


@pytest.fixture(scope="module")
def engine(policy):
    return vllm_engine(policy, memory_share=SHARE, options={"enforce_eager": True})


def expected(policy):
    cpu = policy.to("cpu")
    tokens = [reference(cpu, prompt, GREEDY) for prompt in PROMPTS]
    policy.cuda()
    return tokens


def test_greedy_tokens_are_the_policy_s_own(engine, policy):
    engine.update_weights(CausalPolicy(policy, 1.0))
    completions = engine.generate(PROMPTS, GREEDY, [0] * 4)
    assert [c.token_ids for c in completions] == expected(policy)


def test_asleep_it_holds_no_memory_and_awake_it_has_the_new_weights(engine, policy):
    engine.update_weights(CausalPolicy(policy, 1.0))
    engine.generate(PROMPTS, GREEDY, [0] * 4)
    awake = free()
    engine.release()
    asleep = free()
    total = torch.cuda.mem_get_info()[1]
    assert asleep - awake > 0.5 * SHARE * total
    policy.load_state_dict(make_policy(seed=1).state_dict())
    engine.update_weights(CausalPolicy(policy, 1.0))
    completions = engine.generate(PROMPTS, GREEDY, [0] * 4)
    assert [c.token_ids for c in completions] == expected(policy)


def test_seeds_repeat(engine):
    first = engine.generate([PROMPTS[1]] * 16, SAMPLED, range(16))
    again = engine.generate([PROMPTS[1]] * 16, SAMPLED, range(16))
    assert [c.token_ids for c in first] == [c.token_ids for c in again]


def test_in_bfloat16_engine_and_policy_agree_within_the_bound():
    policy = on_gpu().bfloat16()
    engine = vllm_engine(policy, memory_share=0.1, options={"enforce_eager": True})
    engine.update_weights(CausalPolicy(policy, 1.0))
    # The probe raises when they do not.
    assert len(engine.generate(PROMPTS, SamplingParameters(max_new_tokens=4), range(4))) == 4
