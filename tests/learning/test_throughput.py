"""Seconds by phase, tokens a second, and what share of the peak that is."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from p2o.learning.throughput import Spent, Work, flops_a_token, step_metrics, work_of
from p2o.planning.devices import DEVICES, peak_flops


def spent(now: float, sampled: float = 0, trained: float = 0, scored: float = 0, **seconds: float):
    names = ("rollouts", "scoring", "update", "search", "evaluation")
    return Spent(now, dict.fromkeys(names, 0.0) | seconds, sampled, trained, scored)


BEFORE = spent(100.0, 1_000, 500, 200, rollouts=20.0, update=5.0, search=1.0)


def test_a_step_has_its_own_seconds_and_tokens():
    after = spent(
        *(110.0, 1_600, 800, 300), rollouts=23.0, update=7.0, scoring=0.5, search=5.0, evaluation=0
    )
    assert step_metrics(BEFORE, after, None) == {
        "seconds/step": 10.0,
        "seconds/rollouts": 3.0,
        "seconds/update": 2.0,
        "seconds/scoring": 0.5,
        "seconds/search": 4.0,
        "seconds/evaluation": 0.0,
        "throughput/sampled_tokens": 200.0,
        "throughput/trained_tokens": 150.0,
    }


def test_a_step_that_neither_samples_nor_trains_has_no_rate():
    metrics = step_metrics(
        BEFORE, spent(101.0, 1_000, 500, rollouts=20, update=5.5, search=1), None
    )
    assert metrics["seconds/step"] == 1.0
    assert not [name for name in metrics if name.startswith("throughput/")]


def test_utilisation_is_of_the_passes_and_of_all_devices():
    after = spent(200.0, 1_600, 800, 300, rollouts=90.0, update=7.0, scoring=2.0, search=1.0)
    metrics = step_metrics(BEFORE, after, Work(forward=2e3, training=6e3, peak=1e6))
    assert metrics["throughput/mfu"] == pytest.approx((300 * 6e3 + 100 * 2e3) / (4.0 * 1e6))


class Model(nn.Module):
    def __init__(self, tied: bool) -> None:
        super().__init__()
        self.embedding = nn.Embedding(50, 8)
        self.layer = nn.Linear(8, 8, bias=False)
        self.head = nn.Linear(8, 50, bias=False)
        if tied:
            self.head.weight = self.embedding.weight

    def get_input_embeddings(self) -> nn.Module:
        return self.embedding

    def get_output_embeddings(self) -> nn.Module:
        return self.head


@pytest.mark.parametrize("tied", [False, True])
def test_operations_of_a_token_are_twice_its_matrices_forward_and_six_times_in_training(tied):
    matrices = 8 * 8 + 50 * 8
    assert flops_a_token(Model(tied)) == (2 * matrices, 6 * matrices)


def test_frozen_matrices_need_no_gradient_of_their_own():
    model = Model(tied=False).requires_grad_(False)
    model.layer.requires_grad_(True)
    matrices = 8 * 8 + 50 * 8
    assert flops_a_token(model) == (2 * matrices, 4 * matrices + 2 * 64)


def test_a_real_model_has_two_operations_a_parameter(tiny_model):
    forward, training = flops_a_token(tiny_model)
    inputs = tiny_model.get_input_embeddings().weight.numel()
    tied = tiny_model.config.tie_word_embeddings
    everything = sum(each.numel() for each in tiny_model.parameters())
    assert forward == 2 * (everything if tied else everything - inputs)
    assert training == 3 * forward


@pytest.mark.parametrize(
    ("precision", "compute", "rate"),
    [
        ("bf16-mixed", None, 312e12),
        ("32-true", None, 156e12),
        ("32-true", torch.bfloat16, 312e12),
        ("32-true", "bfloat16", 312e12),
    ],
)
def test_the_peak_is_that_of_all_devices_in_the_type_of_their_products(
    monkeypatch, precision, compute, rate
):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA A100-SXM4-80GB")
    strategy = SimpleNamespace(root_device=torch.device("cuda:1"), compute_dtype=compute)
    trainer = SimpleNamespace(strategy=strategy, precision=precision, world_size=4)
    module = nn.Module()
    module.policy = nn.Module()
    module.policy.model = Model(tied=False)
    matrices = 8 * 8 + 50 * 8
    assert work_of(trainer, module, peak_flops) == Work(2 * matrices, 6 * matrices, 4 * rate)
    assert work_of(trainer, module, lambda name, dtype: None) is None
    strategy.root_device = torch.device("cpu")
    assert work_of(trainer, module, peak_flops) is None


@pytest.mark.parametrize(
    ("name", "dtype", "peak"),
    [
        ("NVIDIA H100 80GB HBM3", "bfloat16", 989.4e12),
        ("NVIDIA H100 PCIe", "bfloat16", 756.5e12),
        ("NVIDIA H100 NVL", "float16", 835.5e12),
        ("NVIDIA A100-SXM4-80GB", "float32", 156e12),
        ("NVIDIA A100 80GB PCIe", "bfloat16", 312e12),
        ("NVIDIA A10G", "bfloat16", None),
        ("NVIDIA L40S", "bfloat16", 362e12),
        ("NVIDIA H100 80GB HBM3", str(torch.float64), None),
        ("cpu", "float32", None),
    ],
)
def test_a_device_is_known_by_the_name_that_cuda_gives(name, dtype, peak):
    assert peak_flops(name, dtype) == peak


@pytest.mark.parametrize("name", ["h100", "h200", "a100"])
def test_a_device_has_the_peak_that_plans_reckon_with(name):
    assert peak_flops(f"NVIDIA {name.upper()}", "bfloat16") == DEVICES[name].rate("bfloat16")
