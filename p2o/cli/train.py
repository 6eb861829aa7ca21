"""``p2o-train``: train a policy and evolve its prompts, as a configuration says."""

import math
import sys
from pathlib import Path
from typing import Any

import torch
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from lightning.pytorch import Trainer, seed_everything
from lightning.pytorch.callbacks import LambdaCallback
from omegaconf import DictConfig

from p2o.cli.assembly import asked_suffix, make_verifier
from p2o.cli.checks import check, check_device, starts_here
from p2o.cli.finish import save_trained, tell
from p2o.cli.going_on import find_checkpoint, given, meant
from p2o.cli.program import COLLAPSED, expected_errors, run_program
from p2o.cli.rehearsal import on_any_machine, rehearse
from p2o.cli.settings import TrainSettings
from p2o.cli.training import Training, assemble
from p2o.configuration.build import CONFIG_NAME
from p2o.learning.final_evaluation import is_measured
from p2o.planning import plan_from_config, print_plan
from p2o.running.console import ended_by_interrupt, quieten_libraries
from p2o.running.distributed import end_with_rank_zero, launched_from_outside, starting_rank
from p2o.running.loggers import begin_logging, log_configuration
from p2o.running.other_ranks import leading, let_others_end
from p2o.running.preemption import handled_signals, hold_signals, stop_if_told
from p2o.running.resuming import check_fit
from p2o.running.run_folder import RECORD, leave_nothing, one_run_in, record_configuration
from p2o.running.same_checkpoint import SameCheckpoint
from p2o.running.secrets import hide_in_run
from p2o.running.terminal import plain
from p2o_callbacks import TrainingCollapsed


def train(config: DictConfig) -> float:
    """Run one training as configured.

    Returns:
        Accuracy on held-out prompts without any template, for sweeps to optimise.

    Raises:
        Preempted: SIGTERM or Ctrl-C came; what was done is saved.
        UserError: Something in the configuration cannot work; nothing has been spent.
        TrainingCollapsed: A guard stopped the run; its checkpoint and summary are written.
    """
    # What could be wrong is found out before anything is spent.
    folder = Path(HydraConfig.get().runtime.output_dir)
    check(config)
    # Written out, so that the record of the run and its model card say what was asked.
    config.renderer.suffix = asked_suffix(config)
    if config.plan:
        print_plan(plan_from_config(config))
        return math.nan
    check_device(config)
    rehearse(config)
    with one_run_in(folder):
        return _train(config, folder)


def _train(config: DictConfig, folder: Path) -> float:
    checkpoint = find_checkpoint(config, folder)
    if not launched_from_outside():
        end_with_rank_zero(starting_rank() == 0)
    seed_everything(config.seed, verbose=False)
    training = assemble(config, folder)
    parts: Any = training.trainer
    parts.callbacks.insert(0, SameCheckpoint(checkpoint))
    if checkpoint is not None:
        with given(config):
            check_fit(checkpoint, training.module, training.module.frozen)
        if starting_rank() == 0:
            print(plain(f"going on from {checkpoint}"), file=sys.stderr)
    begin_logging(training.trainer)
    _record_once_accepted(training.trainer, config, folder, bool(checkpoint))
    hold_signals()
    with leading(training.trainer):
        collapse = _fit(training, checkpoint)
        if config.save_policy is not None and collapse is None:
            save_trained(config, training, folder)
        # The last of all: a run that has a summary has ended.
        summary = tell(config, training, folder, collapse)
        if collapse is not None:
            raise collapse
        return summary["accuracy"]["after"]


def _record_once_accepted(
    trainer: Trainer, config: DictConfig, folder: Path, goes_on: bool
) -> None:
    """Write down how a run is made: at once, or when all that it goes on from has been taken over.

    Parts may refuse what a checkpoint has for them, and the record stays that of the run before.
    """

    def record() -> None:
        record_configuration(folder, config)
        log_configuration(trainer, config)

    if goes_on:
        parts: Any = trainer
        parts.callbacks.append(LambdaCallback(on_train_start=lambda *_: record()))
    else:
        record()


def _fit(training: Training, checkpoint: Path | None) -> TrainingCollapsed | None:
    """Train, with an evaluation before and after; returns what stopped it, if a guard did."""
    trainer, module, data = training.trainer, training.module, training.data
    if checkpoint is None:
        trainer.validate(module, datamodule=data, verbose=False)
    try:
        with training.ledger.phase("train"), meant():
            trainer.fit(module, datamodule=data, ckpt_path=checkpoint, weights_only=True)
    except TrainingCollapsed as collapse:
        let_others_end(trainer)
        return collapse
    if not is_measured(trainer):
        trainer.validate(module, datamodule=data, verbose=False)
    return None


def _run(config: DictConfig) -> float:
    quieten_libraries()
    torch.set_float32_matmul_precision("high")
    hide_in_run(config, HydraConfig.get())
    folder = Path(HydraConfig.get().runtime.output_dir)
    status: int | str | None = 1
    try:
        with expected_errors(folder), handled_signals():
            accuracy = train(config)
            if HydraConfig.get().mode == RunMode.MULTIRUN:
                # It came too late for this run, and the next one is not to begin.
                stop_if_told()
        status = 0
        return accuracy
    except SystemExit as end:
        status = end.code
        # Why has been said, and there is nothing to go on from.
        if not (folder / RECORD).exists():
            leave_nothing(folder)
        # The other runs of a sweep may fare better.
        if status == COLLAPSED and HydraConfig.get().mode == RunMode.MULTIRUN:
            return math.nan
        raise
    finally:
        _finish_wandb(status)


def _finish_wandb(status: int | str | None) -> None:
    """Close the record of this run; the next one of a sweep is not to go on in it."""
    wandb = sys.modules.get("wandb")
    if wandb is not None and wandb.run is not None:
        wandb.finish(exit_code=status)


def _inspect(config: DictConfig) -> None:
    """Look at one job of a sweep before any of them has spent something."""
    quieten_libraries()
    hide_in_run(config, HydraConfig.get())
    check(config)
    if not config.plan:
        make_verifier(config)
        if starts_here():
            check_device(config)
            rehearse(config)
        else:
            rehearse(on_any_machine(config))


@ended_by_interrupt
def main() -> None:
    """Entry point of ``p2o-train``."""
    run_program("p2o-train", CONFIG_NAME, TrainSettings, _run, _inspect)


if __name__ == "__main__":
    main()
