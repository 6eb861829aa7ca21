"""A policy with LoRA works wherever a whole one does, and what is saved is what was trained."""

import copy
import sys
from pathlib import Path

import peft
import pytest
import torch
from hydra import compose, initialize_config_dir
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from torch.utils.data import DataLoader
from transformers import AutoModelForCausalLM, AutoTokenizer

from p2o.configuration.build import CONFIG_NAME, build, call, conf_directory
from p2o.errors import UserError
from p2o.export.weights import CheckpointWeights
from p2o.learning.minibatch import collate
from p2o.learning.module import P2OModule
from p2o.objectives.policy_loss import ClippedLoss
from p2o.policy.adapters import add_lora, save_policy
from p2o.policy.causal import CausalPolicy
from p2o.policy.models import limit_threads, load_policy
from p2o.policy.optimizers import muon
from p2o.policy.packing import Packer
from p2o.rollout.engine import SamplingParameters
from p2o.rollout.hf import HFEngine
from p2o.sample import Sample

IDS = torch.tensor([[5, 6, 7, 8, 9, 10, 11], [12, 13, 14, 15, 16, 0, 0]])
PROMPTS, RESPONSES = [3, 2], [4, 3]
[(ROWS, _)] = Packer().pack(
    [
        Sample.of(ids[:prompt].tolist(), ids[prompt : prompt + response].tolist())
        for ids, prompt, response in zip(IDS, PROMPTS, RESPONSES, strict=True)
    ]
)


def perturbed(model):
    """A fresh adapter changes nothing; one that was trained does."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.1)
    return model


@pytest.fixture
def lora(tiny_model):
    return perturbed(add_lora(tiny_model, r=4, alpha=8))


def logits(model):
    with torch.no_grad():
        return model.eval()(IDS).logits


def configured(*overrides):
    with initialize_config_dir(version_base="1.3", config_dir=str(conf_directory())):
        return compose(CONFIG_NAME, overrides=list(overrides)).model


@pytest.mark.parametrize("model", ["digits", "digits_decisive", "smollm2_135m"])
def test_each_model_trains_whole_unless_an_adapter_is_chosen(model, tiny_model):
    assert configured(f"model={model}").adapter is None
    node = configured(f"model={model}", "model/adapter=lora", "model.adapter.r=4").adapter
    made = build(node, "model.adapter")(tiny_model).peft_config["default"]
    assert (made.r, made.lora_alpha, made.lora_dropout) == (4, 32, 0.0)


def test_a_configured_policy_trains_its_adapter_alone_and_starts_as_the_policy_without():
    config = configured("model/adapter=lora")
    adapter = build(config.adapter, "model.adapter")
    model, tokenizer = load_policy(config.path, config.dtype, adapter=adapter)
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    assert trained == {name for name, _ in model.named_parameters() if "lora_" in name}
    layers = {name.partition(".lora_")[0].rpartition(".")[2] for name in trained}
    attention = {"q_proj", "k_proj", "v_proj", "o_proj"}
    assert layers == attention | {"gate_proj", "up_proj", "down_proj"}
    plain, _ = load_policy(config.path)
    assert torch.equal(logits(model), logits(plain))
    assert model.generation_config.eos_token_id == tokenizer.eos_token_id


def test_log_probs_and_gradients_are_those_of_the_plain_forward_pass(lora):
    log_probs, _ = CausalPolicy(lora, 0.7)(ROWS)
    weights = torch.randn(log_probs.shape, generator=torch.Generator().manual_seed(5))
    (log_probs * weights).sum().backward()
    found = {n: p.grad for n, p in lora.named_parameters() if p.grad is not None}
    lora.zero_grad()
    expected, parts = [], weights.split(RESPONSES)
    for row, (prompt, response) in enumerate(zip(PROMPTS, RESPONSES, strict=True)):
        ids = IDS[row : row + 1, : prompt + response]
        scores = (lora(ids).logits[0] / 0.7).log_softmax(-1)
        chosen = scores[prompt - 1 : -1].gather(1, ids[0, prompt:, None])[:, 0]
        (chosen * parts[row]).sum().backward()
        expected.append(chosen.detach())
    torch.testing.assert_close(log_probs, torch.cat(expected), atol=1e-5, rtol=1e-5)
    assert found.keys() == {name for name, _ in lora.named_parameters() if "lora_" in name}
    for name, parameter in lora.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad.any(), name
            torch.testing.assert_close(found[name], parameter.grad, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_head_is_found_below_an_adapter(tiny_model, dtype):
    CausalPolicy(perturbed(add_lora(tiny_model.to(dtype))), 1.0).check_model()


def generate(model, temperature=0.0):
    sampling = SamplingParameters(temperature=temperature, max_new_tokens=12)
    return HFEngine(model).generate([[5, 6, 7], [8, 9], [10]], sampling, [1, 2, 3])


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_the_engine_samples_with_the_adapter(lora, temperature):
    merged = copy.deepcopy(lora).merge_and_unload()
    without = copy.deepcopy(lora).unload()
    found = [completion.token_ids for completion in generate(lora, temperature)]
    assert found == [completion.token_ids for completion in generate(merged, temperature)]
    assert found != [completion.token_ids for completion in generate(without, temperature)]


def test_a_frozen_copy_of_an_engine_stays_when_the_adapter_changes(lora):
    engine = HFEngine(lora)
    frozen = engine.frozen_copy()
    assert not any(p.requires_grad for p in frozen.model.parameters())
    assert any(p.requires_grad for p in lora.parameters())
    before = logits(frozen.model)
    perturbed(lora)
    assert torch.equal(logits(frozen.model), before)
    assert not torch.equal(logits(lora), before)


def test_a_small_policy_with_an_adapter_keeps_to_one_thread(lora):
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    limit_threads(lora)
    assert torch.get_num_threads() == 1
    torch.set_num_threads(threads)


def batches():
    generator = torch.Generator().manual_seed(1)

    def sample():
        ids = torch.randint(4, 60, (9,), generator=generator).tolist()
        advantage = float(torch.randn((), generator=generator))
        return Sample.of(ids[:4], ids[4:]).with_streams(advantages=advantage)

    return [
        collate([sample() for _ in range(4)], Packer(), ["advantages"], 20, 4) for _ in range(3)
    ]


def sgd(parameters):
    return torch.optim.SGD(parameters, lr=0.5, momentum=0.9)


def muon_at_2e4(parameters):
    return muon(parameters, lr=2e-4, adamw_lr=2e-4)


@pytest.mark.parametrize("optimizer", [sgd, muon_at_2e4])
def test_lightning_resumes_to_the_weights_of_a_run_that_never_stopped(tmp_path, lora, optimizer):
    start = copy.deepcopy(P2OModule(lora, ClippedLoss(), sgd).state_dict())

    def fit(folder, **more):
        module = P2OModule(copy.deepcopy(lora), ClippedLoss(), optimizer)
        Trainer(
            accelerator="cpu",
            max_epochs=3,
            logger=False,
            callbacks=[ModelCheckpoint(tmp_path / folder, "{epoch}", save_top_k=-1)],
            enable_progress_bar=False,
            enable_model_summary=False,
        ).fit(
            module,
            DataLoader(batches(), batch_size=None),  # type: ignore[arg-type]
            weights_only=True,
            **more,
        )
        return torch.load(tmp_path / folder / "epoch=2.ckpt", weights_only=True)["state_dict"]

    whole = fit("whole")
    trained = {name for name, p in lora.named_parameters() if p.requires_grad}
    assert whole.keys() == {f"policy.model.{name}" for name in trained}
    resumed = fit("resumed", ckpt_path=tmp_path / "whole" / "epoch=0.ckpt")
    for name, value in whole.items():
        assert torch.equal(resumed[name], value), name
        assert torch.equal(start[name], value) == ("lora_" not in name), name


def test_a_checkpoint_holds_the_adapter_and_belongs_to_one_model(tmp_path, lora):
    module = P2OModule(lora, ClippedLoss(), sgd)
    content = {"state_dict": module.state_dict()}
    module.on_save_checkpoint(content)
    assert all("lora_" in name for name in content["state_dict"])
    torch.save(content, tmp_path / "one.ckpt")
    weights = CheckpointWeights.open(tmp_path / "one.ckpt")
    read = add_lora(copy.deepcopy(lora).unload(), r=4, alpha=8)
    assert not torch.equal(logits(read), logits(lora))
    weights.load_into(read)
    assert torch.equal(logits(read), logits(lora))
    other = copy.deepcopy(read)
    with torch.no_grad():
        other.get_base_model().model.norm.weight[3] += 1e-3
    said = "one.ckpt: trained on top of other weights than the model's"
    with pytest.raises(UserError, match=said):
        weights.load_into(other)
    with pytest.raises(UserError, match="the checkpoint: trained on top of other weights"):
        P2OModule(other, ClippedLoss(), sgd).on_load_checkpoint(content)


def test_dropout_of_the_model_below_is_off(tiny_model):
    for layer in tiny_model.model.layers:
        layer.self_attn.attention_dropout = 0.5
    policy = P2OModule(add_lora(tiny_model), ClippedLoss(), sgd).policy
    assert policy.training
    first, second = (policy(ROWS)[0] for _ in range(2))
    assert torch.equal(first, second)


def names(folder: Path):
    return {path.name for path in folder.iterdir()}


def test_merged_weights_are_a_plain_folder_and_the_model_is_left_as_it_was(
    tmp_path, lora, tokenizer
):
    before = copy.deepcopy(lora.state_dict())
    save_policy(lora, tokenizer, tmp_path / "new" / "folder", merged=True)
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path / "new" / "folder")
    assert "adapter_config.json" not in names(tmp_path / "new" / "folder")
    assert type(loaded).__name__ == "Qwen2ForCausalLM"
    assert not any("lora_" in name for name in loaded.state_dict())
    torch.testing.assert_close(logits(loaded), logits(lora), atol=1e-5, rtol=1e-5)
    assert loaded.generation_config.eos_token_id == tokenizer.eos_token_id
    words = AutoTokenizer.from_pretrained(tmp_path / "new" / "folder")
    assert words.chat_template == tokenizer.chat_template
    assert lora.state_dict().keys() == before.keys()
    assert all(torch.equal(lora.state_dict()[name], value) for name, value in before.items())
    assert any(p.requires_grad for p in lora.parameters())


def test_a_tied_head_stays_tied_when_merged(tmp_path, embedded, tokenizer):
    model = perturbed(add_lora(embedded))
    save_policy(model, tokenizer, tmp_path)
    loaded, _ = load_policy(str(tmp_path))
    assert loaded.lm_head.weight is loaded.model.embed_tokens.weight
    torch.testing.assert_close(logits(loaded), logits(model), atol=1e-4, rtol=1e-4)


def test_the_adapter_alone_is_a_folder_of_peft(tmp_path, lora, tokenizer):
    base = copy.deepcopy(lora).unload()
    save_policy(lora, tokenizer, tmp_path, merged=False)
    assert {"adapter_config.json", "adapter_model.safetensors"} < names(tmp_path)
    assert "model.safetensors" not in names(tmp_path)
    loaded = peft.PeftModel.from_pretrained(base, str(tmp_path))
    assert torch.equal(logits(loaded), logits(lora))
    assert AutoTokenizer.from_pretrained(tmp_path).chat_template == tokenizer.chat_template


def test_a_saved_adapter_is_merged_into_its_model_and_trains_on(tmp_path, tokenizer):
    model, _ = load_policy("embedded:digits", adapter=add_lora)
    save_policy(perturbed(model), tokenizer, tmp_path, merged=False)
    loaded, _ = load_policy(str(tmp_path))
    torch.testing.assert_close(logits(loaded), logits(model), atol=1e-4, rtol=1e-4)
    assert type(loaded).__name__ == "LlamaForCausalLM"
    assert all(parameter.requires_grad for parameter in loaded.parameters())
    again, _ = load_policy(str(tmp_path), adapter=add_lora)
    assert all("lora_" in name for name, p in again.named_parameters() if p.requires_grad)


@pytest.mark.parametrize("merged", [True, False])
def test_a_policy_without_an_adapter_is_saved_whole(tmp_path, tiny_model, tokenizer, merged):
    save_policy(tiny_model, tokenizer, tmp_path, merged)
    loaded, _ = load_policy(str(tmp_path))
    assert torch.equal(logits(loaded), logits(tiny_model))


def test_merged_weights_keep_their_type(tmp_path, tiny_model, tokenizer):
    save_policy(perturbed(add_lora(tiny_model.to(torch.bfloat16))), tokenizer, tmp_path)
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert {parameter.dtype for parameter in loaded.parameters()} == {torch.bfloat16}


def test_a_missing_peft_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "peft", None)
    said = "LoRA needs peft; 'pip install peft'"
    with pytest.raises(UserError) as caught:
        load_policy("embedded:digits", adapter=add_lora)
    assert str(caught.value) == said


def test_a_missing_peft_is_named_for_a_saved_adapter_too(tmp_path, lora, tokenizer, monkeypatch):
    save_policy(lora, tokenizer, tmp_path, merged=False)
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(UserError, match="an adapter, which needs peft"):
        load_policy(str(tmp_path))


def test_layers_that_the_model_lacks_are_named_in_one_line():
    adapter = build(
        configured("model/adapter=lora", "model.adapter.target_modules=[query]").adapter, ""
    )
    with pytest.raises(UserError, match=r"^model: .*query.*not found") as caught:
        call(load_policy, "model", path="embedded:digits", adapter=adapter)
    assert "\n" not in str(caught.value)
