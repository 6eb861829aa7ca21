"""Every family of models is trained on what it says, and sampled from what it says."""

import copy

import pytest
import torch
from torch import nn
from transformers import AutoModelForCausalLM

from p2o.adapters import save_policy
from p2o.blocks import blocks, checkpoint_blocks
from p2o.models import load_policy
from p2o.policy import CausalPolicy, response_mask
from p2o.rollout.engine import SamplingParameters
from p2o.rollout.hf import HFEngine
from p2o.rollout.weights import checkpoint_weights, plain_weights, whole_copy
from tests.families import FAMILIES, make_model, with_lora

PROMPTS = [[5, 17, 80, 33], [9, 12], [60, 61, 7, 7, 40, 41, 42, 11, 23]]
RESPONSES = [[30, 31, 32, 55, 1], [70, 71, 72, 8, 90, 13, 14, 15, 29, 28, 1], [3, 50, 1]]
TEMPERATURE = 0.7


def rows():
    ids = [torch.tensor(p + r) for p, r in zip(PROMPTS, RESPONSES, strict=True)]
    padded = nn.utils.rnn.pad_sequence(ids, batch_first=True, padding_value=5)
    return padded, torch.tensor([4, 2, 9]), torch.tensor([5, 11, 3])


def plain(model, responses):
    """Log-probabilities of all responses, row by row, by the model's plain forward pass."""
    model.eval()
    found = []
    for prompt, response in zip(PROMPTS, responses, strict=True):
        logits = model(torch.tensor([prompt + response])).logits[0, len(prompt) - 1 : -1]
        log_probs = (logits / TEMPERATURE).log_softmax(-1)
        found.append(log_probs.gather(1, torch.tensor(response)[:, None])[:, 0])
    return torch.cat(found)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_is_trained_on_what_it_says(family):
    policy = CausalPolicy(make_model(family), TEMPERATURE, chunk_tokens=4).train()
    policy.check_model()
    other = copy.deepcopy(policy.model)
    optimizer = torch.optim.SGD(policy.parameters(), lr=0.05)
    ids, prompts, responses = rows()
    first = plain(other, RESPONSES).detach()
    for _ in range(2):
        log_probs = policy(ids, prompts, responses)[0][response_mask(responses)]
        other.load_state_dict(policy.model.state_dict())
        expected = plain(other, RESPONSES)
        torch.testing.assert_close(log_probs, expected, atol=1e-5, rtol=0)
        optimizer.zero_grad()
        log_probs.sum().backward()
        other.zero_grad()
        expected.sum().backward()
        gradients = {name: p.grad for name, p in other.named_parameters()}
        for name, parameter in policy.model.named_parameters():
            torch.testing.assert_close(parameter.grad, gradients[name], atol=1e-3, rtol=1e-3)
        optimizer.step()
    assert (plain(policy.model, RESPONSES) - first).abs().max() > 0.1


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_is_sampled_from_what_it_says(family):
    model = make_model(family)
    sampling = SamplingParameters(temperature=TEMPERATURE, max_new_tokens=8)
    completions = HFEngine(model, probe_bound=1e-4).generate(PROMPTS, sampling, range(3))
    assert len({completion.token_ids for completion in completions}) == 3
    found = torch.tensor([value for c in completions for value in c.log_probs])
    with torch.no_grad():
        expected = plain(model, [list(completion.token_ids) for completion in completions])
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_layers_of_a_family_are_found_and_computed_again(family):
    model = make_model(family)
    layers = blocks(model)
    assert len(layers) == model.config.get_text_config().num_hidden_layers
    passes = []
    part = max(layers[0].children(), key=lambda child: sum(p.numel() for p in child.parameters()))
    part.register_forward_pre_hook(lambda *_: passes.append(part))
    policy = CausalPolicy(model, TEMPERATURE).train()
    ids, prompts, responses = rows()
    gradients = []
    for checkpointed in (False, True):
        if checkpointed:
            checkpoint_blocks(model)
        passes.clear()
        policy.zero_grad()
        policy(ids, prompts, responses)[0].sum().backward()
        assert len(passes) == 1 + checkpointed
        gradients.append([p.grad for p in model.parameters() if p.grad is not None])
    for once, again in zip(*gradients, strict=True):
        torch.testing.assert_close(again, once, atol=1e-5, rtol=1e-4)


EXPERTS = {"gate_up_proj", "down_proj"}
ADAPTED_EXPERTS = {
    "mixtral": EXPERTS,
    "qwen3_moe": EXPERTS,
    "qwen3_next": EXPERTS,
    "olmoe": EXPERTS,
    "deepseek_v3": EXPERTS,
    "phimoe": set(),
    "qwen2_moe": set(),
    "gpt_oss": set(),
}
"""Parameters of the experts that ``all-linear`` adapts, by families of mixtures."""


# Peft refuses Mamba.
@pytest.mark.parametrize("family", [family for family in FAMILIES if family != "mamba"])
def test_lora_on_a_family_is_merged_into_the_weights_that_an_engine_has(family):
    policy, base = with_lora(family), make_model(family)
    with torch.no_grad():
        expected = plain(policy, RESPONSES)
        assert (plain(base, RESPONSES) - expected).abs().max() > 0.01
        torch.testing.assert_close(plain(whole_copy(policy), RESPONSES), expected)
    sent = checkpoint_weights(policy, plain_weights(policy))
    kept = checkpoint_weights(base, plain_weights(base))
    assert [(n, w.shape) for n, w in sent] == [(n, w.shape) for n, w in kept]


@pytest.mark.parametrize("family", ADAPTED_EXPERTS)
def test_lora_on_a_mixture_trains_the_experts_that_it_is_said_to(family):
    policy, base = with_lora(family).eval(), make_model(family)
    CausalPolicy(policy, TEMPERATURE).check_model()
    before = dict(plain_weights(base))
    changed = {n for n, weight in plain_weights(policy) if not torch.equal(weight, before[n])}
    experts = {name.rpartition(".")[2] for name in changed if ".experts." in name}
    assert experts == ADAPTED_EXPERTS[family]
    assert any("attn.o_proj" in name for name in changed)


@pytest.mark.parametrize("merged", [True, False], ids=["merged", "alone"])
@pytest.mark.parametrize("family", ADAPTED_EXPERTS)
def test_lora_on_a_mixture_is_loaded_as_it_was_saved(family, merged, tokenizer, tmp_path):
    make_model(family, len(tokenizer)).save_pretrained(tmp_path / "base")
    base = AutoModelForCausalLM.from_pretrained(tmp_path / "base")
    policy = with_lora(family, base)
    save_policy(policy, tokenizer, tmp_path / "policy", merged)
    loaded, _ = load_policy(str(tmp_path / "policy"))
    with torch.no_grad():
        torch.testing.assert_close(plain(loaded, RESPONSES), plain(policy, RESPONSES))
