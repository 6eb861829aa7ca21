"""Shapes are those of the real models; what cannot be read is said in one line."""

import pytest
import torch
from peft import LoraConfig, get_peft_model

from p2o.errors import UserError
from p2o.planning.examples import configurations, shapes
from p2o.planning.shape import meta_model, read_architecture, shape_of
from p2o.policy.models import load_policy


@pytest.mark.parametrize(
    ("name", "billions", "outside_embedding"),
    # The models' cards: parameters, and those outside embeddings.
    [("Qwen2.5-0.5B", 0.49, 0.36), ("Qwen3-4B", 4.0, 3.6), ("Qwen2.5-32B", 32.5, 31.0)],
)
def test_known_models_have_the_published_number_of_parameters(name, billions, outside_embedding):
    shape = shapes()[name]
    assert shape.parameters / 1e9 == pytest.approx(billions, rel=0.011)
    inner = shape.parameters - shape.head * (1 if shape.tied else 2)
    assert inner / 1e9 == pytest.approx(outside_embedding, rel=0.015)


@pytest.mark.parametrize("path", ["embedded:digits", "embedded:digits_decisive"])
def test_the_shape_of_a_config_is_that_of_the_loaded_model(path):
    loaded = load_policy(path)[0]
    shape = shape_of(meta_model(read_architecture(path)))
    assert shape == shape_of(loaded)
    assert shape.parameters == sum(p.numel() for p in loaded.parameters())
    assert shape.matrices == sum(
        p.numel()
        for name, p in loaded.model.layers.named_parameters()
        if name.endswith("weight") and p.ndim == 2
    )
    assert shape.tied


def test_no_memory_is_taken_for_weights():
    model = meta_model(configurations()["Qwen2.5-32B"], torch.bfloat16)
    assert {parameter.device.type for parameter in model.parameters()} == {"meta"}
    assert {parameter.dtype for parameter in model.parameters()} == {torch.bfloat16}


@pytest.mark.parametrize("family", ["llama", "qwen2", "qwen3"])
def test_widths_are_told_apart(small_model, family):
    shape = shape_of(small_model(family, layers=3))
    assert (shape.layers, shape.hidden, shape.intermediate) == (3, 64, 160)
    assert (shape.queries, shape.keys, shape.vocabulary) == (96, 48, 128)
    assert shape.normed_heads == (family == "qwen3")
    assert not shape.tied


def test_lora_parameters_are_those_of_peft(small_model):
    model = small_model("llama", layers=3)
    shape = shape_of(model)
    adapted = get_peft_model(model, LoraConfig(r=5, target_modules="all-linear"))
    trained = sum(p.numel() for p in adapted.parameters() if p.requires_grad)
    assert shape.lora_parameters(5) == trained


def test_a_saved_folder_is_read_without_its_weights(small_model, tmp_path):
    model = small_model("qwen3")
    model.config.save_pretrained(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["config.json"]
    assert shape_of(meta_model(read_architecture(str(tmp_path)))) == shape_of(model)


def test_a_hub_id_that_cannot_be_reached_is_one_line(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match=r"^path=nobody/nothing: no config\.json") as caught:
        read_architecture("nobody/nothing")
    assert "\n" not in str(caught.value)
    assert str(caught.value).endswith("give a folder that holds one")


def test_a_folder_without_a_configuration_is_one_line(tmp_path):
    with pytest.raises(UserError, match=r"no config\.json to be had") as caught:
        read_architecture(str(tmp_path))
    assert "\n" not in str(caught.value)


def test_a_configuration_of_no_language_model_is_one_line(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "vit"}')
    with pytest.raises(UserError, match=r"^path: ") as caught:
        meta_model(read_architecture(str(tmp_path)))
    assert "\n" not in str(caught.value)
