"""Guards stop a run, leave a checkpoint, and say what they saw."""

import math

import pytest
import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from torch.utils.data import DataLoader

from p2o_callbacks import (
    ConfigurationError,
    FiniteUpdates,
    MetricBounds,
    ShareOfBest,
    ShareOfStart,
    TrainingCollapsed,
)


class Scripted(LightningModule):
    """Losses, entropies and validation accuracies as a test dictates; one weight, which moves."""

    def __init__(self, factors=(), entropies=(), accuracies=()):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))
        self.factors, self.entropies, self.accuracies = factors, list(entropies), list(accuracies)
        self.validated = 0

    def training_step(self, batch, batch_index):
        if self.entropies:
            self.log("train/entropy", self.entropies[self.trainer.global_step])
        factors = self.factors or [1.0]
        return factors[batch_index % len(factors)] * self.weight.sum()

    def validation_step(self, batch, batch_index):
        self.log("val/accuracy", self.accuracies[self.validated])
        self.validated += 1

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def fit(project, module, *callbacks, epochs=1, validation=False, checkpoint=None, **options):
    trainer = project.trainer(callbacks, epochs, num_sanity_val_steps=0, **options)
    steps = DataLoader(torch.arange(6))  # type: ignore[arg-type]
    once = DataLoader(torch.arange(1)) if validation else None  # type: ignore[arg-type]
    trainer.fit(module, steps, once, ckpt_path=checkpoint, weights_only=True)
    return trainer


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("accumulate", [1, 2, 3])
def test_an_update_that_is_not_finite_is_not_made(project, bad, accumulate):
    module = Scripted(factors=[1.0, 1.0, 1.0, bad, 1.0, 1.0])
    with pytest.raises(TrainingCollapsed, match="not finite; the weights are those before it"):
        fit(project, module, FiniteUpdates(), accumulate_grad_batches=accumulate)
    assert module.weight.item() == pytest.approx(1 - 0.1 * (3 // accumulate), abs=1e-6)


def test_a_gradient_that_is_not_finite_is_not_used_though_the_loss_is(project):
    class Root(Scripted):
        def training_step(self, batch, batch_index):
            # The square root's slope at zero is infinite.
            return (self.weight - self.weight.detach()).sqrt().sum()

    module = Root()
    with pytest.raises(TrainingCollapsed, match="update 0: a gradient norm of (inf|nan)"):
        fit(project, module, FiniteUpdates())
    assert module.weight.item() == 1


def test_finite_updates_are_let_through(project):
    assert fit(project, Scripted(), FiniteUpdates(), epochs=2).global_step == 12


def test_a_checkpoint_and_the_value_are_kept(project, tmp_path):
    save = ModelCheckpoint(tmp_path, save_on_exception=True, save_last=True)
    guard = MetricBounds("train/entropy", minimum=0.5)
    logger = CSVLogger(tmp_path, name="", version="")
    with pytest.raises(TrainingCollapsed):
        fit(
            project,
            Scripted(entropies=[1.0, 1.0, 0.2]),
            guard,
            save,
            logger=logger,
            enable_checkpointing=True,
        )
    saved = torch.load(tmp_path / "last.ckpt", weights_only=True)
    assert saved["global_step"] == 3
    assert "collapse/train_entropy" in (tmp_path / "metrics.csv").read_text()


@pytest.mark.parametrize(
    ("bounds", "message"),
    [
        ({"minimum": 0.5}, "update 3: train/entropy is 0.2; its minimum is 0.5"),
        ({"maximum": 0.9}, "update 1: train/entropy is 1; its maximum is 0.9"),
        ({"minimum": 0.5, "patience": 2}, "update 6: train/entropy is 0.1; its minimum is 0.5"),
        ({"minimum": 0.3, "maximum": 2.0}, "its minimum is 0.3 and its maximum is 2.0"),
    ],
)
def test_a_metric_outside_its_bounds_stops_the_run(project, bounds, message):
    module = Scripted(entropies=[1.0, 0.6, 0.2, 0.6, 0.2, 0.1])
    with pytest.raises(TrainingCollapsed, match=message):
        fit(project, module, MetricBounds("train/entropy", **bounds))


@pytest.mark.parametrize("bounds", [{}, {"minimum": 0.1}, {"minimum": 0.5, "patience": 3}])
def test_a_metric_within_its_bounds_does_not(project, bounds):
    module = Scripted(entropies=[1.0, 0.6, 0.2, 0.6, 0.2, 0.1])
    assert fit(project, module, MetricBounds("train/entropy", **bounds)).global_step == 6


def test_bounds_for_what_nobody_logs_are_refused_at_the_first_step(project):
    with pytest.raises(ConfigurationError, match="nothing logs the metric train/kl"):
        fit(project, Scripted(), MetricBounds("train/kl", maximum=1.0))
    assert fit(project, Scripted(), MetricBounds("train/kl")).global_step == 6


def test_accuracy_below_a_share_of_its_start_stops_the_run(project):
    module = Scripted(accuracies=[0.4, 0.9, 0.21, 0.19])
    with pytest.raises(TrainingCollapsed, match="is 0.19, below 50% of the 0.4 it started from"):
        fit(project, module, ShareOfStart(), epochs=5, validation=True)
    assert module.validated == 4


@pytest.mark.parametrize("guard", [ShareOfStart, ShareOfBest])
def test_a_validation_that_is_not_a_number_counts_for_nothing(project, guard):
    module = Scripted(accuracies=[math.nan, 0.4, 0.1, math.nan, 0.1, 0.4])
    with pytest.raises(TrainingCollapsed, match="is 0.1, below 50% of the 0.4 it "):
        fit(project, module, guard(patience=2), epochs=6, validation=True)
    assert module.validated == 5


def test_a_run_that_loses_what_it_has_learned_is_stopped_though_it_began_with_nothing(project):
    accuracies = [0.0, 0.6, 0.9, 0.5, 0.44, 0.4]
    fit(project, Scripted(accuracies=accuracies), ShareOfStart(), epochs=5, validation=True)
    module = Scripted(accuracies=accuracies)
    with pytest.raises(TrainingCollapsed, match="is 0.44, below 50% of the 0.9 it had reached"):
        fit(project, module, ShareOfBest(), epochs=6, validation=True)
    assert module.validated == 5


def test_a_resumed_run_compares_with_the_best_of_the_whole(project, tmp_path):
    save = ModelCheckpoint(tmp_path, filename="one")
    more = {"validation": True, "enable_checkpointing": True}
    fit(project, Scripted(accuracies=[0.1, 0.8]), ShareOfBest(), save, epochs=2, **more)
    again, checkpoint = Scripted(accuracies=[0.3]), tmp_path / "one.ckpt"
    with pytest.raises(TrainingCollapsed, match="50% of the 0.8 it had reached"):
        fit(project, again, ShareOfBest(), epochs=3, checkpoint=checkpoint, **more)


def test_a_share_of_what_nobody_logs_is_warned_of_once(project, caplog):
    module = Scripted(accuracies=[0.4, 0.1, 0.1])
    fit(project, module, ShareOfStart("val/acuracy"), epochs=3, validation=True)
    [line] = [record.getMessage() for record in caplog.records if "p2o" in record.name]
    assert line.startswith("metric=val/acuracy: nothing logs it, so nothing is guarded; there are ")
    assert "val/accuracy" in line


def test_patience_waits_for_validations_in_a_row(project):
    module = Scripted(accuracies=[0.4, 0.1, 0.4, 0.1, 0.15, 0.4])
    with pytest.raises(TrainingCollapsed, match="is 0.15, "):
        fit(project, module, ShareOfStart(patience=2), epochs=6, validation=True)


@pytest.mark.parametrize(
    ("options", "accuracies"),
    [({"share": 0.0}, [0.9, 0.0]), ({}, [0.09, 0.0]), ({"least_start": 0.5}, [0.4, 0.1])],
)
def test_a_start_that_says_little_and_a_share_of_zero_never_stop(project, options, accuracies):
    module = Scripted(accuracies=accuracies)
    fit(project, module, ShareOfStart(**options), epochs=2, validation=True)


def test_a_resumed_run_compares_with_the_start_of_the_whole(project, tmp_path):
    save = ModelCheckpoint(tmp_path, filename="one")
    more = {"validation": True, "enable_checkpointing": True}
    fit(project, Scripted(accuracies=[0.8]), ShareOfStart(), save, **more)
    with pytest.raises(TrainingCollapsed, match="50% of the 0.8 it started from"):
        fit(
            project,
            Scripted(accuracies=[0.3]),
            ShareOfStart(),
            epochs=2,
            checkpoint=tmp_path / "one.ckpt",
            **more,
        )


def test_several_guards_of_a_kind_work_side_by_side_and_keep_their_states(project, tmp_path):
    guards = [
        ShareOfStart(share=0.5, patience=2),
        ShareOfStart(share=0.25),
        ShareOfStart("val/other", share=0.5),
        MetricBounds("train/entropy", minimum=0.5, patience=3),
        MetricBounds("train/entropy", maximum=2.0),
        FiniteUpdates(),
        FiniteUpdates(),
    ]
    save = ModelCheckpoint(tmp_path, filename="one")
    fit(
        project,
        Scripted(accuracies=[0.8], entropies=[1.0, 1.0, 1.0, 1.0, 0.1, 0.1]),
        *guards,
        save,
        validation=True,
        enable_checkpointing=True,
    )
    states = torch.load(tmp_path / "one.ckpt", weights_only=True)["callbacks"]
    kept = [states[guard.state_key] for guard in guards[:5]]
    first = {"start": pytest.approx(0.8), "low": 0}
    assert kept == [first, first, {"start": None, "low": 0}, {"outside": 2}, {"outside": 0}]


def test_steps_outside_the_bounds_are_counted_on_by_a_resumed_run(project, tmp_path):
    save, entropies = ModelCheckpoint(tmp_path, filename="one"), [1.0, 1.0, 1.0, 1.0, 0.1, 0.1]
    guard, more = {"minimum": 0.5, "patience": 3}, {"enable_checkpointing": True}
    bounds = MetricBounds("train/entropy", **guard)
    fit(project, Scripted(entropies=entropies), bounds, save, **more)
    with pytest.raises(TrainingCollapsed, match="after update 7: "):
        fit(
            project,
            Scripted(entropies=[*entropies, 0.1, 1.0, 1.0, 1.0, 1.0, 1.0]),
            MetricBounds("train/entropy", **guard),
            epochs=2,
            checkpoint=tmp_path / "one.ckpt",
            **more,
        )


def test_settings_that_mean_nothing_are_refused():
    with pytest.raises(ConfigurationError, match="patience=0: "):
        MetricBounds("train/entropy", patience=0)
    with pytest.raises(ConfigurationError, match="patience=0: "):
        ShareOfStart(patience=0)
    with pytest.raises(ConfigurationError, match="share=1.5: "):
        ShareOfStart(share=1.5)
