"""A teacher that follows the policy, as TRL's does, and the checkpoints that it goes on from."""

import copy
from types import SimpleNamespace

import pytest
import torch
from lightning.pytorch import Trainer
from torch import nn
from trl.trainer.callbacks import SyncRefModelCallback

from p2o.learning.averaged_teacher import AveragedTeacher
from p2o.policy.adapters import add_lora
from p2o.policy.causal import CausalPolicy
from p2o.policy.moving_average import MovingAverage
from p2o.policy.packing import ALWAYS, Packer
from p2o.sample import Sample

[(PACKED, _)] = Packer(ALWAYS).pack(
    [Sample.of([5, 6, 7], [8, 9, 10]), Sample.of([5, 6, 7], [8, 4, 3])]
)


def train(model: nn.Module, seed: int) -> None:
    """An update of some kind."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.1)


@pytest.mark.parametrize("rate", [0.05, 0.5, 1.0])
@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("backend", [None, pytest.param("aot_eager", marks=pytest.mark.slow)])
def test_the_average_is_that_of_trl_and_scores_as_a_policy_of_its_own(
    tiny_model, rate, tied, backend
):
    if tied:
        tiny_model.config.tie_word_embeddings = True
        tiny_model.tie_weights()
    expected = copy.deepcopy(tiny_model)
    policy = CausalPolicy(tiny_model, 0.7, compile_backend=backend)
    teacher = MovingAverage(policy, rate)
    for seed in range(3):
        train(tiny_model, seed)
        teacher.update()
        SyncRefModelCallback._sync_target_model(tiny_model, expected, rate)
    own = {name: value.clone() for name, value in tiny_model.state_dict().items()}
    found, entropies = teacher(PACKED)
    wanted, certain = CausalPolicy(expected, 0.7)(PACKED)
    torch.testing.assert_close(found, wanted)
    torch.testing.assert_close(entropies, certain)
    # What is trained stays as it is.
    assert not found.requires_grad
    assert all(torch.equal(own[name], value) for name, value in tiny_model.state_dict().items())
    assert (rate == 1) == torch.allclose(found, policy(PACKED)[0])


def test_with_an_adapter_the_average_is_of_the_adapter_alone(tiny_model):
    model = add_lora(tiny_model, r=4, alpha=8)
    train(model, 0)
    policy = CausalPolicy(model, 1.0)
    teacher = MovingAverage(policy)
    before = policy(PACKED)[0]
    assert all("lora" in name for name in teacher.average)
    train(model, 1)
    torch.testing.assert_close(teacher(PACKED)[0], before)
    assert not torch.allclose(policy(PACKED)[0], before)


def test_small_steps_are_not_rounded_away_in_bfloat16():
    weight = nn.Linear(1, 1, bias=False, dtype=torch.bfloat16)
    nn.init.constant_(weight.weight, 1.0)
    policy: nn.Module = nn.Sequential(weight)
    teacher = MovingAverage(policy, 0.001)  # type: ignore[arg-type]
    nn.init.constant_(weight.weight, 2.0)
    for _ in range(2000):
        teacher.update()
    [average] = teacher.average.values()
    assert float(average) == pytest.approx(2 - 0.999**2000, abs=1e-3)


@pytest.mark.parametrize("rate", [0.0, 1.5, torch.nan])
def test_a_rate_that_cannot_work_is_named(tiny_model, rate):
    with pytest.raises(ValueError, match=r"^rate="):
        MovingAverage(CausalPolicy(tiny_model, 1.0), rate)


def test_the_average_moves_once_an_update_and_goes_on_from_a_checkpoint(tiny_model):
    def after(updates: int) -> Trainer:
        trainer: Trainer = SimpleNamespace(global_step=updates)  # type: ignore[assignment]
        return trainer

    module: nn.Module = tiny_model
    teacher = MovingAverage(CausalPolicy(tiny_model, 1.0))
    callback = AveragedTeacher(teacher)
    callback.on_train_start(after(0), module)  # type: ignore[arg-type]
    first = teacher.weights()
    train(tiny_model, 0)
    callback.on_train_batch_end(after(0), module, None, None, 0)  # type: ignore[arg-type]
    assert all(torch.equal(first[name], value) for name, value in teacher.average.items())
    for _ in range(2):
        callback.on_train_batch_end(after(1), module, None, None, 0)  # type: ignore[arg-type]
    moved = teacher.weights()
    name = next(iter(moved))
    weight = dict(CausalPolicy(tiny_model, 1.0).named_parameters())[name]
    torch.testing.assert_close(moved[name], 0.95 * first[name] + 0.05 * weight.detach())

    resumed = AveragedTeacher(MovingAverage(CausalPolicy(tiny_model, 1.0)))
    resumed.load_state_dict(callback.state_dict())
    resumed.on_train_start(after(1), module)  # type: ignore[arg-type]
    assert all(torch.equal(moved[name], value) for name, value in resumed.teacher.average.items())
    # A checkpoint without one: it begins with the policy as that has it.
    train(tiny_model, 1)
    begun = AveragedTeacher(MovingAverage(CausalPolicy(tiny_model, 1.0)))
    train(tiny_model, 2)
    begun.on_train_start(after(1), module)  # type: ignore[arg-type]
    torch.testing.assert_close(begun.teacher.average[name], weight.detach())
