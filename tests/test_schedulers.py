"""Schedules are those of transformers, over the share of updates that is to warm up."""

import pytest
import torch
from transformers import get_cosine_schedule_with_warmup, get_linear_schedule_with_warmup

from p2o.optimizers import muon
from p2o.schedulers import cosine, linear, warmup_then_constant


def rates(make, updates, lr=0.5):
    """The learning rate of each update."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=lr)
    scheduler = make(optimizer)
    found = []
    for _ in range(updates):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return found


@pytest.mark.parametrize(("warmup", "steps"), [(0.0, 0), (0.05, 1), (0.25, 5)])
@pytest.mark.parametrize(
    ("schedule", "reference"),
    [(linear, get_linear_schedule_with_warmup), (cosine, get_cosine_schedule_with_warmup)],
)
def test_a_schedule_is_that_of_transformers(schedule, reference, warmup, steps):
    found = rates(lambda optimizer: schedule(optimizer, num_training_steps=20, warmup=warmup), 20)
    assert found == rates(lambda optimizer: reference(optimizer, steps, 20), 20)
    assert found[steps] == max(found) == 0.5
    assert sorted(found[steps:], reverse=True) == found[steps:]
    assert 0 < found[-1] < 0.05


def test_linear_falls_by_the_same_amount_each_update():
    found = rates(lambda optimizer: linear(optimizer, num_training_steps=4, warmup=0), 5, lr=1.0)
    assert found == [1.0, 0.75, 0.5, 0.25, 0.0]


def test_cosine_is_half_way_down_in_the_middle():
    found = rates(lambda optimizer: cosine(optimizer, num_training_steps=4, warmup=0), 5, lr=1.0)
    assert found == pytest.approx([1.0, 0.5 + 0.5**1.5, 0.5, 0.5 - 0.5**1.5, 0.0])


def test_a_warm_up_rises_to_the_rate_and_stays():
    found = rates(lambda optimizer: warmup_then_constant(optimizer, 8, warmup=0.5), 8, lr=1.0)
    assert found == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0, 1.0, 1.0]


@pytest.mark.parametrize("schedule", [linear, cosine, warmup_then_constant])
def test_a_schedule_drives_all_parts_of_an_optimizer_and_goes_on_after_a_resume(schedule):
    def start():
        torch.manual_seed(0)
        parameters = [torch.nn.Parameter(torch.randn(4, 4)), torch.nn.Parameter(torch.randn(4))]
        optimizer = muon(zip("ab", parameters, strict=True), lr=1.0, adamw_lr=0.1)
        return parameters, optimizer, schedule(optimizer, num_training_steps=10, warmup=0.3)

    def run(parts, updates):
        parameters, optimizer, scheduler = parts
        found = []
        for _ in range(updates):
            found.append([group["lr"] for group in optimizer.param_groups])
            for parameter in parameters:
                parameter.grad = parameter.detach().clone()
            optimizer.step()
            scheduler.step()
        return found

    whole, stopped, resumed = start(), start(), start()
    expected = run(whole, 10)
    assert all(second == pytest.approx(first / 10) for first, second in expected)
    first_half = run(stopped, 5)
    with torch.no_grad():
        for parameter, value in zip(resumed[0], stopped[0], strict=True):
            parameter.copy_(value)
    for part, other in zip(resumed[1:], stopped[1:], strict=True):
        part.load_state_dict(other.state_dict())
    assert first_half + run(resumed, 5) == expected
    assert all(map(torch.equal, resumed[0], whole[0]))
