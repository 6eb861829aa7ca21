"""What leaves the trainer is all of the policy, and its digest tells every change."""

import copy
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from p2o.rollout.weights import checkpoint_weights, fingerprint, plain_weights, whole_copy
from tests.rollout.policies import adapted, logits, routed, tied


def swap(weight, *places):
    first, second = places
    kept = weight[first].clone()
    weight[first] = weight[second]
    weight[second] = kept


CHANGES = {
    "one row of the embeddings": lambda m: m.get_input_embeddings().weight[50].add_(1e-3),
    "the last element": lambda m: m.lm_head.weight[-1, -1].mul_(1.01),
    "two signs in a row": lambda m: m.lm_head.weight[3, 4:6].neg_(),
    "one and the same bit twice in a row": lambda m: (
        m.lm_head.weight[3, 4:6].view(torch.int32).bitwise_xor_(1)
    ),
    "two rows for each other": lambda m: swap(m.lm_head.weight, 7, 9),
    "two elements for each other": lambda m: swap(m.lm_head.weight[3], 7, 9),
    "a buffer": lambda m: m.model.layers[1].mlp.gate.e_score_correction_bias[0].add_(0.1),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_any_change_changes_the_fingerprint_and_nothing_else_does(change):
    policy = routed()
    before = fingerprint(policy)
    assert fingerprint(copy.deepcopy(policy)) == before
    with torch.no_grad():
        change(policy)
    assert fingerprint(policy) != before


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_a_fingerprint_tells_the_smallest_step_of_each_type(dtype):
    module = nn.Linear(5, 3).to(dtype)
    before = fingerprint(module)
    with torch.no_grad():
        weight = module.weight[1, 2]
        weight.copy_(torch.nextafter(weight, torch.tensor(9.0, dtype=dtype)))
    assert fingerprint(module) != before


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("places", [(1, 1), (1, slice(2)), slice(None)], ids=["1", "2", "all"])
def test_a_fingerprint_tells_signs_of_each_type(dtype, places):
    module = nn.Linear(4, 4).to(dtype)
    before = fingerprint(module)
    module.weight.data[places].neg_()
    assert fingerprint(module) != before


def test_a_fingerprint_takes_scalars_and_what_is_empty():
    module = nn.Module()
    module.scale, module.none = nn.Parameter(torch.tensor(1.0)), nn.Parameter(torch.empty(0, 3))
    before = fingerprint(module)
    module.scale.data.fill_(2.0)
    assert fingerprint(module) != before


POLICIES = {
    "a buffer": routed,
    "LoRA on the embeddings": lambda: adapted("embed_tokens", "q_proj"),
    "LoRA on the head": lambda: adapted("lm_head"),
    "LoRA on layers": lambda: adapted("q_proj", "down_proj"),
    "LoRA beside a buffer": lambda: adapted("q_a_proj", model=routed()),
}


@pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES)
def test_a_whole_copy_is_the_policy(policy):
    policy = policy()
    torch.testing.assert_close(logits(whole_copy(policy)), logits(policy), atol=1e-4, rtol=1e-4)


def test_a_copy_takes_over_the_types_of_weights_and_buffers():
    policy: Any = routed()
    policy.to(torch.bfloat16)
    gate = policy.model.layers[1].mlp.gate
    gate.e_score_correction_bias = torch.linspace(0, 1, 8)
    copied = whole_copy(policy).model.layers[1].mlp.gate
    assert copied.weight.dtype == torch.bfloat16
    assert torch.equal(copied.e_score_correction_bias, gate.e_score_correction_bias)


@pytest.mark.parametrize("policy", [routed, tied])
def test_weights_for_an_engine_are_those_of_a_saved_model_name_by_name(policy, tmp_path):
    model = policy()
    model.save_pretrained(tmp_path)
    saved = load_file(tmp_path / "model.safetensors")
    sent = dict(checkpoint_weights(model, plain_weights(model)))
    if policy is tied:
        assert torch.equal(sent.pop("lm_head.weight"), saved["model.embed_tokens.weight"])
    assert sent.keys() == saved.keys()
    assert all(torch.equal(sent[name], tensor) for name, tensor in saved.items())
