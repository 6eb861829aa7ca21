"""What is saved is the policy, or nothing is."""

import pytest
import torch
from transformers import AutoModelForCausalLM, GenerationConfig

from p2o.errors import UserError
from p2o.policy.adapters import merge_adapter, save_policy
from p2o.policy.likeness import likeness
from p2o.policy.models import load_policy
from tests.rollout.policies import ENDS, adapted, logits, routed, tied

TARGETS = [["embed_tokens"], ["lm_head"], ["embed_tokens", "lm_head"], ["embed_tokens", "q_proj"]]


def same(model, other):
    torch.testing.assert_close(logits(model), logits(other), atol=1e-3, rtol=1e-4)
    return True


@pytest.mark.parametrize("targets", TARGETS, ids="+".join)
def test_an_adapter_on_tied_weights_is_saved_as_the_policy_that_was_trained(
    tmp_path, tokenizer, targets
):
    policy = adapted(*targets)
    expected = logits(policy)
    save_policy(policy, tokenizer, tmp_path / "policy")
    assert same(AutoModelForCausalLM.from_pretrained(tmp_path / "policy"), policy)
    assert torch.equal(logits(policy), expected)


@pytest.mark.parametrize("targets", TARGETS, ids="+".join)
def test_an_adapter_on_tied_weights_that_is_saved_alone_is_loaded_as_it_was(
    tmp_path, tokenizer, targets
):
    tied().save_pretrained(tmp_path / "base")
    base = AutoModelForCausalLM.from_pretrained(tmp_path / "base")
    policy = adapted(*targets, model=base)
    save_policy(policy, tokenizer, tmp_path / "adapter", merged=False)
    loaded, _ = load_policy(str(tmp_path / "adapter"))
    assert same(loaded, policy)
    save_policy(loaded, tokenizer, tmp_path / "again")
    assert same(AutoModelForCausalLM.from_pretrained(tmp_path / "again"), policy)


def test_a_buffer_that_was_trained_is_saved(tmp_path, tokenizer):
    policy = routed()
    save_policy(policy, tokenizer, tmp_path / "policy")
    assert same(AutoModelForCausalLM.from_pretrained(tmp_path / "policy"), policy)


def test_a_policy_with_attention_for_gpus_is_read_again_without(tmp_path, tokenizer):
    policy = tied()
    before = likeness(policy)
    policy.config._attn_implementation = "flash_attention_2"
    save_policy(policy, tokenizer, tmp_path / "policy", policy=before)
    assert same(AutoModelForCausalLM.from_pretrained(tmp_path / "policy"), tied())


def test_weights_that_are_not_the_policy_are_refused_and_what_was_there_stays(tmp_path, tokenizer):
    save_policy(tied(), tokenizer, tmp_path / "policy")
    before = {path.name: path.read_bytes() for path in (tmp_path / "policy").iterdir()}
    policy = tied()
    policy._keys_to_ignore_on_save = ["model.layers.0.mlp.down_proj.weight"]
    for name in ("policy", "new"):
        with pytest.raises(
            UserError, match="the saved weights are not the policy: .* nats"
        ) as said:
            save_policy(policy, tokenizer, tmp_path / name)
        assert "\n" not in str(said.value)
    assert {path.name: path.read_bytes() for path in (tmp_path / "policy").iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["policy"]


def test_a_merge_that_changes_the_policy_is_refused():
    policy = adapted("q_proj")
    # Peft merges an adapter that is switched off, too.
    policy.disable_adapter_layers()
    with pytest.raises(UserError, match="the adapter's merged weights are not the policy"):
        merge_adapter(policy)


UNSAVABLE = {
    "a temperature without sampling": {"do_sample": False, "temperature": 0.5},
    "beams that are none": {"num_beams": 1, "length_penalty": 2.0, "early_stopping": True},
    "no JSON": {"suppress_tokens": {1, 2}},
}


@pytest.mark.parametrize("settings", UNSAVABLE.values(), ids=UNSAVABLE)
def test_a_generation_config_that_cannot_be_saved_costs_no_weights(
    tmp_path, tokenizer, settings, caplog
):
    policy = tied()
    policy.generation_config = GenerationConfig(**{**ENDS.to_diff_dict(), **settings})
    kept = policy.generation_config
    save_policy(policy, tokenizer, tmp_path / "policy")
    assert policy.generation_config is kept
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path / "policy")
    assert same(loaded, policy)
    saved = GenerationConfig.from_pretrained(tmp_path / "policy")
    assert (saved.bos_token_id, saved.eos_token_id, saved.pad_token_id) == (1, 2, 0)
    [warning] = [r.getMessage() for r in caplog.records if r.name.startswith("p2o")]
    assert warning.startswith("model: its generation config could not be saved (")
    assert "\n" not in warning
