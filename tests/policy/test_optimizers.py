"""Each option steps as the library that it comes from does by itself, also after a resume."""

import copy
import io
import sys
from typing import Any

import pytest
import pytorch_optimizer
import torch
from hydra import compose, initialize_config_dir
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import nn
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import DataLoader
from transformers import Qwen2Config, Qwen2ForCausalLM

from p2o.configuration.build import CONFIG_NAME, build, conf_directory
from p2o.errors import UserError
from p2o.learning.minibatch import collate
from p2o.learning.module import P2OModule
from p2o.objectives.policy_loss import ClippedLoss
from p2o.policy.packing import Packer
from p2o.policy.schedulers import warmup_then_constant
from p2o.sample import Sample
from tests.quick import first_quick

OPTIONS = [
    "adamw",
    "muon",
    "sgd",
    "lion",
    # The first step compiles.
    pytest.param("adamw_8bit", marks=pytest.mark.slow),
]
LR = {"sgd": 0.1}


class Network(nn.Module):
    """All that an optimiser may tell apart; 4096 numbers are the least that torchao packs."""

    def __init__(self, tied: bool) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(64, 64)
        self.hidden = nn.Linear(64, 64)
        self.norm = nn.LayerNorm(64)
        self.lm_head = nn.Linear(64, 64, bias=False)
        if tied:
            self.lm_head.weight = self.embed_tokens.weight

    def forward(self, ids):
        hidden = self.embed_tokens(ids)
        return self.lm_head(self.norm(hidden + self.hidden(hidden).relu()))


def network(tied=False):
    torch.manual_seed(0)
    return Network(tied)


def make(option, *overrides):
    with initialize_config_dir(version_base="1.3", config_dir=str(conf_directory())):
        config = compose(CONFIG_NAME, overrides=[f"optimizer={option}", *overrides])
    return build(config.optimizer, "optimizer")


def backward(model, step):
    generator = torch.Generator().manual_seed(step)
    ids = torch.randint(0, 64, (32,), generator=generator)
    model.zero_grad()
    nn.functional.cross_entropy(model(ids), ids.roll(1)).backward()


def outside(option, model, lr):
    """What the library makes of the same parameters without names."""
    parameters = list(model.parameters())
    if option == "muon":
        hidden = model.hidden.weight
        rest = [p for p in parameters if p is not hidden]
        return [
            torch.optim.Muon([hidden], lr=lr, weight_decay=0, adjust_lr_fn="match_rms_adamw"),
            torch.optim.AdamW(rest, lr=lr / 2, weight_decay=0),
        ]
    if option == "adamw_8bit":
        from torchao.optim import AdamW8bit

        return [AdamW8bit(parameters, lr=lr, weight_decay=0)]
    if option == "lion":
        return [pytorch_optimizer.Lion(parameters, lr=lr)]
    kind = {"adamw": torch.optim.AdamW, "sgd": torch.optim.SGD}[option]
    return [kind(parameters, lr=lr, weight_decay=0)]


def saved_and_loaded(state):
    buffer = io.BytesIO()
    torch.save(state, buffer)
    buffer.seek(0)
    return torch.load(buffer, weights_only=True)


@pytest.mark.parametrize("tied", first_quick([False, True]), ids=["untied", "tied"])
@pytest.mark.parametrize("option", OPTIONS)
def test_an_option_steps_as_its_library_does_with_a_schedule_and_a_resume(option, tied):
    lr = LR.get(option, 1e-3)
    overrides = [f"optimizer.lr={lr}"]
    if option == "muon":
        overrides.append(f"optimizer.adamw_lr={lr / 2}")

    def ours(model):
        optimizer = make(option, *overrides)(model.named_parameters())
        return optimizer, warmup_then_constant(optimizer, 8, warmup=0.5)

    reference = network(tied)
    references = outside(option, reference, lr)
    schedules = [LambdaLR(o, lambda step: min(1.0, (step + 1) / 4)) for o in references]
    model = network(tied)
    optimizer, scheduler = ours(model)
    for step in range(8):
        if step == 3:
            parts = model, optimizer, scheduler
            states = saved_and_loaded([part.state_dict() for part in parts])
            model = network(tied)
            optimizer, scheduler = ours(model)
            for part, state in zip((model, optimizer, scheduler), states, strict=True):
                part.load_state_dict(state)
        backward(model, step)
        optimizer.step()
        scheduler.step()
        backward(reference, step)
        for other in (*references, *schedules):
            other.step()
        rates = [group["lr"] for o in references for group in o.param_groups]
        assert [group["lr"] for group in optimizer.param_groups] == rates
        assert all(map(torch.equal, model.parameters(), reference.parameters())), step
    start = network(tied)
    assert not any(map(torch.equal, model.parameters(), start.parameters()))


def test_a_state_saved_without_names_can_be_loaded():
    old, new = network(), network()
    unnamed = torch.optim.AdamW(old.parameters(), lr=2e-4, weight_decay=0)
    backward(old, 0)
    unnamed.step()
    optimizer = make("adamw")(new.named_parameters())
    optimizer.load_state_dict(saved_and_loaded(unnamed.state_dict()))
    new.load_state_dict(old.state_dict())
    for model, stepped in ((old, unnamed), (new, optimizer)):
        backward(model, 1)
        stepped.step()
    assert all(map(torch.equal, new.parameters(), old.parameters()))


def muon_names(model):
    module = P2OModule(model, ClippedLoss(), torch.optim.SGD)
    named = [(name, p) for name, p in module.named_parameters() if p.requires_grad]
    groups = make("muon")(named).param_groups
    return {name for name, _ in named}, *(set(group["param_names"]) for group in groups)


def test_muon_gets_the_hidden_matrices_of_a_transformer_and_adamw_all_else(tiny_model):
    names, hidden, rest = muon_names(tiny_model)
    assert hidden | rest == names
    assert hidden == {n for n in names if "_proj.weight" in n}
    assert {"policy.model.lm_head.weight", "policy.model.model.embed_tokens.weight"} < rest


def test_a_tied_embedding_of_a_transformer_is_adamws(embedded):
    assert embedded.config.tie_word_embeddings
    _, hidden, rest = muon_names(embedded)
    assert hidden
    assert not any("embed" in name for name in hidden)
    assert "policy.model.model.embed_tokens.weight" in rest


@pytest.mark.parametrize("one", ["hidden.weight", "norm.weight"])
def test_muon_does_with_parameters_for_one_of_its_parts_alone(one):
    model = network()
    parameters = dict(model.named_parameters())
    optimizer = make("muon")([(one, parameters[one])])
    before = copy.deepcopy(parameters[one])
    backward(model, 0)
    optimizer.step()
    assert not torch.equal(parameters[one], before)


def test_muons_second_rate_follows_the_first_unless_set():
    def rates(*overrides):
        groups = make("muon", *overrides)(network().named_parameters()).param_groups
        return [group["lr"] for group in groups]

    assert rates("optimizer.lr=0.5") == [0.5, 0.5]
    assert rates("optimizer.lr=0.5", "optimizer.adamw_lr=0.1") == [0.5, 0.1]


def test_a_closure_is_called_once_and_gives_the_loss():
    model, called = network(), []
    optimizer = make("muon")(model.named_parameters())

    def closure():
        assert torch.is_grad_enabled()
        called.append(1)
        backward(model, 0)
        return 3.5

    before = copy.deepcopy(model.state_dict())
    with torch.no_grad():
        assert optimizer.step(closure) == 3.5
    assert len(called) == 1
    assert not any(torch.equal(before[name], value) for name, value in model.state_dict().items())


@pytest.mark.parametrize(
    ("option", "module", "package"),
    [
        ("adamw_8bit", "torchao.optim", "torchao"),
        ("lion", "pytorch_optimizer", "pytorch-optimizer"),
    ],
)
def test_a_missing_package_is_named_before_anything_is_made(monkeypatch, option, module, package):
    monkeypatch.setitem(sys.modules, module, None)
    said = f"optimizer: {option} needs {package}; 'pip install {package}'"
    with pytest.raises(UserError) as caught:
        make(option)
    assert str(caught.value) == said


def batches():
    generator = torch.Generator().manual_seed(1)

    def sample():
        ids = torch.randint(4, 60, (9,), generator=generator).tolist()
        advantage = float(torch.randn((), generator=generator))
        return Sample.of(ids[:4], ids[4:]).with_streams(advantages=advantage)

    return [
        collate([sample() for _ in range(4)], Packer(), ["advantages"], 20, 4) for _ in range(3)
    ]


@pytest.mark.slow
@pytest.mark.parametrize("option", OPTIONS)
def test_lightning_resumes_to_the_weights_of_a_run_that_never_stopped(tmp_path, option):
    torch.manual_seed(0)
    sizes: Any = {
        "vocab_size": 64,
        "hidden_size": 64,
        "intermediate_size": 64,
        "num_hidden_layers": 1,
    }
    model = Qwen2ForCausalLM(Qwen2Config(**sizes, num_attention_heads=4, num_key_value_heads=4))

    def fit(folder, **more):
        module = P2OModule(copy.deepcopy(model), ClippedLoss(), make(option), warmup)
        Trainer(
            accelerator="cpu",
            max_epochs=3,
            gradient_clip_val=1.0,
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
        return torch.load(tmp_path / folder / "epoch=2.ckpt", weights_only=True)

    def warmup(optimizer, num_training_steps):
        return warmup_then_constant(optimizer, num_training_steps, warmup=0.7)

    whole = fit("whole")
    resumed = fit("resumed", ckpt_path=tmp_path / "whole" / "epoch=0.ckpt")
    start = P2OModule(model, ClippedLoss(), torch.optim.SGD).state_dict()
    for name, value in whole["state_dict"].items():
        assert torch.equal(resumed["state_dict"][name], value), name
        assert not torch.equal(start[name], value), name
    rates = [
        [group["lr"] for group in run["optimizer_states"][0]["param_groups"]]
        for run in (whole, resumed)
    ]
    assert rates[0] == rates[1]
