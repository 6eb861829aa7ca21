"""Schedules are those of transformers, over the share of updates that is to warm up."""

import csv
import math

import pytest
import torch
from lightning.pytorch import LightningDataModule, LightningModule, Trainer
from torch.utils.data import DataLoader
from transformers import get_cosine_schedule_with_warmup, get_linear_schedule_with_warmup

from p2o.errors import UserError
from p2o.learning.module import P2OModule
from p2o.policy.optimizers import muon
from p2o.policy.schedulers import cosine, go_on, linear, warmup_then_constant
from p2o_callbacks import RolloutBudget


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


class Rolling(LightningDataModule):
    """Three updates an epoch, each of rollouts as given."""

    def __init__(self, rollouts, spent):
        super().__init__()
        self.rollouts, self.training_rollouts = iter(rollouts), spent

    def train_dataloader(self):
        return DataLoader(torch.arange(3))  # type: ignore[arg-type]


class Scheduled(LightningModule):
    """Notes the rate of each update; optimiser and schedule are made as those of `P2OModule`."""

    configure_optimizers = P2OModule.configure_optimizers

    def __init__(self, schedule):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.make_optimizer = lambda named: torch.optim.SGD([p for _, p in named], lr=1.0)
        self.make_scheduler, self.rates = schedule, []

    def lr_scheduler_step(self, scheduler, metric):
        go_on(scheduler, self.trainer)

    def training_step(self, batch, batch_index):
        data = self.trainer.datamodule  # type: ignore[attr-defined]
        data.training_rollouts += next(data.rollouts)
        [group] = self.trainer.optimizers[0].param_groups
        self.rates.append(group["lr"])
        return self.weight.sum()


def fit(folder, schedule, rollouts=(), budget=None, spent=0, checkpoint=None, **options):
    module, data = Scheduled(schedule), Rolling(rollouts, spent)
    trainer = Trainer(
        accelerator="cpu",
        callbacks=[] if budget is None else [RolloutBudget(budget)],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
        **options,
    )
    trainer.fit(module, datamodule=data, ckpt_path=checkpoint, weights_only=True)
    return trainer, module.rates


@pytest.mark.parametrize("epochs", [-1, 1000])
def test_a_schedule_is_laid_over_the_rollout_budget(tmp_path, epochs):
    """A search after the third update spends as much as two updates, and counts."""
    rollouts = (10, 10, 10, 30, 10, 10, 10, 10)
    _, found = fit(tmp_path, cosine, rollouts, 100, max_epochs=epochs)
    half = [0.5 * (1 + math.cos(math.pi * (spent - 5) / 95)) for spent in (10, 20, 30, 60, 70, 80)]
    assert found == pytest.approx([0.0, *half, 0.5 * (1 + math.cos(math.pi * 85 / 95))])


@pytest.mark.parametrize(("schedule", "last"), [(linear, 0.1 / 0.95), (warmup_then_constant, 1.0)])
def test_every_schedule_ends_with_the_budget(tmp_path, schedule, last):
    _, found = fit(tmp_path, schedule, [10] * 10, 100, max_epochs=-1)
    assert len(found) == 10
    assert found[-1] == pytest.approx(last)


def test_a_run_with_an_end_and_no_budget_is_scheduled_by_updates(tmp_path):
    _, found = fit(tmp_path, linear, [1] * 6, max_epochs=2)
    assert found == pytest.approx([1 - update / 6 for update in range(6)])


def test_a_run_with_neither_is_refused_in_one_line(tmp_path):
    with pytest.raises(UserError, match=r"^a run without an end has no length .*max_epochs") as no:
        fit(tmp_path, linear, max_epochs=-1)
    assert "\n" not in str(no.value)


def test_a_resumed_run_goes_on_with_the_rate_that_its_budget_says(tmp_path):
    _, whole = fit(tmp_path, cosine, [10] * 10, 100, max_epochs=-1)
    stopped, first = fit(tmp_path, cosine, [10] * 10, 100, max_epochs=1)
    stopped.save_checkpoint(tmp_path / "one.ckpt")

    _, rest = fit(
        tmp_path, cosine, [10] * 7, 100, 30, checkpoint=tmp_path / "one.ckpt", max_epochs=-1
    )
    assert first + rest == pytest.approx(whole)


@pytest.mark.slow
def test_an_open_ended_run_with_a_schedule_spends_its_budget(p2o_train, tmp_path):
    result = p2o_train(
        *("data.source.train=32", "data.source.held_out=8", "data.batch=8", "data.mini_batch=8"),
        *("evolution=none", "trainer.max_epochs=-1", "scheduler=linear", "optimizer.lr=1e-3"),
        "+callbacks.budget={_target_: p2o_callbacks.RolloutBudget, max_rollouts: 240}",
        "+callbacks.rates._target_=lightning.pytorch.callbacks.LearningRateMonitor",
        "hydra.run.dir=run",
    )
    assert result.returncode == 0, result.stderr
    with (tmp_path / "run" / "metrics.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row.get("lr-AdamW")]
    # Each update takes 48 rollouts; 12 are for the warm-up.
    expected = [0.0, *(1e-3 * (240 - spent) / 228 for spent in (48, 96, 144, 192))]
    assert [float(row["lr-AdamW"]) for row in rows] == pytest.approx(expected)
