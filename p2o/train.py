"""``p2o-train``: wire the parts that a configuration names, and train."""

import logging
import math
import sys
from functools import partial
from importlib.metadata import version
from pathlib import Path

import hydra
import torch
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from lightning.pytorch import Callback, Trainer, seed_everything
from lightning.pytorch.loggers import Logger
from omegaconf import DictConfig
from torch.distributed.checkpoint.api import CheckpointException

from p2o.adapters import save_policy
from p2o.checkpointing import AtomicCheckpointIO
from p2o.checks import check, check_interval
from p2o.config import CONFIG_NAME, USER_ERRORS, build, build_all, call, conf_directory
from p2o.console import ended_by_interrupt, quieten_libraries
from p2o.data.credit import CreditAssignment
from p2o.data.datamodule import RolloutDataModule
from p2o.data.experience import ExperienceBuilder
from p2o.data.preparation import prepare
from p2o.data.sizes import BatchSizes
from p2o.distributed import end_with_rank_zero, launched_from_outside, starting_rank
from p2o.errors import EngineError, PeerError, UserError, located
from p2o.files import why_not_written
from p2o.final_evaluation import FinalEvaluation, is_measured
from p2o.ledger import Ledger, MeteredEngine, MeteredEnvironment, MeteredReflection
from p2o.models import limit_threads, load_policy
from p2o.module import P2OModule
from p2o.overrides import check_overrides
from p2o.planning import plan_from_config, print_plan
from p2o.preemption import Preempted, StopWhenPreempted, handled_signals, hold_signals
from p2o.reflection.base import RemoteReflection
from p2o.rehearsal import rehearse
from p2o.report import print_report, write_summary
from p2o.resuming import KeptSettings, check_fit, find_checkpoint, settings_of
from p2o.rollout.engine import check_training_sampling
from p2o.rollout.journal import Journal, JournaledEngine, JournaledReflection
from p2o.rollout.probe import policy_likeness
from p2o.rollout.rendering import ChatRenderer
from p2o.rollout.runner import RolloutRunner
from p2o.rollout.weights import whole_copy
from p2o.run_folder import one_run_in, record_configuration
from p2o.secrets import hide_in_run
from p2o.settings import TrainSettings
from p2o.sharding import is_sharded, readable_weights, stop_other_ranks
from p2o.terminal import print_error
from p2o.updates import WholeUpdates
from p2o.verifiers import GuardedVerifier
from p2o_callbacks import TrainingCollapsed

logger = logging.getLogger(__name__)

SAMPLED_IN = ("train", "evolution", "held_out")
"""Keys of ``sampling``."""


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
    run_directory = Path(HydraConfig.get().runtime.output_dir)
    check(config)
    if config.plan:
        print_plan(plan_from_config(config))
        return math.nan
    rehearse(config)
    with one_run_in(run_directory):
        return _train(config, run_directory)


def _train(config: DictConfig, run_directory: Path) -> float:
    ckpt_path = find_checkpoint(config, run_directory)
    if not launched_from_outside():
        end_with_rank_zero(starting_rank() == 0)
    seed_everything(config.seed, verbose=False)

    # Before the policy, which may take minutes to load: a verifier may not work here.
    judge = build(config.verifier, "verifier")

    # Policy, and the engine that samples from it.
    ledger = Ledger()
    adapter = build(config.model.get("adapter"), "model.adapter")
    model, tokenizer = call(load_policy, "model", **{**config.model, "adapter": adapter})
    limit_threads(model)
    sampler = build(config.rollout, "rollout", model=model)
    engine = MeteredEngine(sampler, ledger)
    renderer = call(ChatRenderer, "renderer", tokenizer=tokenizer, **config.renderer)

    # Prompts, and how they become scored groups.
    verifier = call(GuardedVerifier, "verifier_guard", verifier=judge, **config.verifier_guard)
    environment = MeteredEnvironment(build(config.environment, "environment"), ledger)
    budget = config.data.max_prompt_tokens
    runner = RolloutRunner(engine, renderer, verifier, budget, environment)
    # A search has a record of its own, from which it goes on when it is killed.
    journal = Journal(run_directory / "evolution")
    search_engine = MeteredEngine(JournaledEngine(sampler, journal), ledger)
    search_runner = RolloutRunner(search_engine, renderer, verifier, budget, environment)
    prompts = prepare(config, renderer, judge)
    sampling = {name: build(config.sampling[name], f"sampling.{name}") for name in SAMPLED_IN}
    check_training_sampling(sampling["train"])
    for name in SAMPLED_IN:
        runner.check_room(sampling[name].max_new_tokens, f"sampling.{name}.max_new_tokens")
    module: P2OModule = call(
        P2OModule,
        "module",
        model=model,
        policy_loss=build(config.algorithm.loss, "algorithm.loss"),
        optimizer=build(config.optimizer, "optimizer"),
        scheduler=build(config.scheduler, "scheduler"),
        temperature=sampling["train"].temperature,
        kl=build(config.algorithm.kl, "algorithm.kl"),
        correction=build(config.correction, "correction"),
        entropy_coefficient=config.algorithm.entropy_coefficient,
        **config.module,
    )
    reference = build(config.reference, "reference", policy=module.policy)

    # How scored groups become what the network is trained on.
    sizes = BatchSizes(
        config.data.group_size,
        config.data.batch,
        config.data.mini_batch,
        config.trainer.get("accumulate_grad_batches", 1),
        config.algorithm.sampling_rounds,
    )
    check_interval(config, sizes.mini_batches(len(prompts.train)) * sizes.micro_batches)
    builder = ExperienceBuilder(
        sizes,
        CreditAssignment(
            build(config.algorithm.advantages, "algorithm.advantages"),
            build(config.baseline, "baseline"),
            build(config.algorithm.overlong, "algorithm.overlong"),
            config.drop_failed_templated,
        ),
        build(config.distillation, "distillation"),
        packer=module.packer,
        score=module.score,
        score_reference=reference and partial(module.score, policy=reference),
        kl=module.kl,
        entropy_bonus=module.entropy_coefficient != 0,
        ledger=ledger,
    )
    data = RolloutDataModule(
        train=prompts.train,
        held_out=prompts.held_out,
        runner=runner,
        search_runner=search_runner,
        module=module,
        builder=builder,
        ledger=ledger,
        sizes=sizes,
        sampling=sampling["train"],
        evolution_sampling=sampling["evolution"],
        held_out_sampling=sampling["held_out"],
        held_out_samples=config.data.held_out_samples,
        seed=config.seed,
    )

    # Callbacks: mining, then evolution, which reads the miner's hard set.
    final = FinalEvaluation(go_on=bool(config.resume_changed))
    kept = KeptSettings(settings_of(config), renew=bool(config.resume_changed))
    callbacks = [WholeUpdates(ledger), StopWhenPreempted(), kept, final]
    callbacks.append(build(config.mining, "mining"))
    if config.evolution is not None:
        reflection = build(config.reflection, "reflection")
        if isinstance(reflection, RemoteReflection):
            reflection = JournaledReflection(reflection, journal)
        reflection = MeteredReflection(reflection, ledger)
        with located("reflection"):
            reflection.bind(search_engine, renderer)
        assigner = build(config.assignment, "assignment")
        evolver = build(
            config.evolution.evolver, "evolution.evolver", reflection=reflection, assigner=assigner
        )
        callbacks.append(build(config.evolution.callback, "evolution.callback", evolver=evolver))
    callbacks += build_all(config.callbacks, "callbacks", Callback)
    callbacks.append(build(config.checkpoint, "checkpoint", dirpath=run_directory / "checkpoints"))

    # Train, and say what came of it.
    trainer: Trainer = build(
        config.trainer,
        "trainer",
        callbacks=callbacks,
        logger=build_all(config.logger, "logger", Logger),
        default_root_dir=run_directory,
        plugins=[AtomicCheckpointIO()],
    )
    if ckpt_path is not None:
        check_fit(ckpt_path, module)
    # Accepted: from here on there is something to save.
    record_configuration(run_directory, config)
    hold_signals()
    if ckpt_path is None:
        trainer.validate(module, datamodule=data, verbose=False)
    collapse: TrainingCollapsed | None = None
    try:
        with ledger.phase("train"):
            trainer.fit(module, datamodule=data, ckpt_path=ckpt_path, weights_only=True)
    except TrainingCollapsed as error:
        collapse = error
    except Exception:
        stop_other_ranks(trainer)
        raise
    if collapse is None and not is_measured(trainer):
        trainer.validate(module, datamodule=data, verbose=False)
    if config.save_policy is not None and collapse is None:
        # Putting shards together takes all ranks.
        with readable_weights(module.policy):
            whole = whole_copy(model) if is_sharded(model) else model
        kind = getattr(trainer.strategy, "compute_dtype", None)
        policy = policy_likeness(module.policy, kind) if is_sharded(model) else None
        if trainer.is_global_zero:
            merged = config.save_policy == "merged"
            save_policy(whole, tokenizer, run_directory / "policy", merged, policy)
    # The last of all: a run that has a summary has ended.
    summary = write_summary(run_directory, config, data, callbacks, collapse)
    if trainer.is_global_zero:
        print_report(summary, run_directory)
        if not final.trained:
            more = "more trainer.max_epochs, or resume_changed=true where a callback ended it,"
            print(f"This run had finished before; {more} would go on.")
    if collapse is not None:
        raise collapse
    return summary["accuracy"]["after"]


def _run(config: DictConfig) -> float:
    quieten_libraries()
    torch.set_float32_matmul_precision("high")
    folder = Path(HydraConfig.get().runtime.output_dir)
    status = 1
    hide_in_run(config, HydraConfig.get())
    try:
        with handled_signals():
            accuracy = train(config)
        status = 0
        return accuracy
    except USER_ERRORS as error:
        status = _fail(error)
        sys.exit(status)
    except TrainingCollapsed as error:
        status = _fail(error, 3)
        # The other runs of a sweep may fare better.
        if HydraConfig.get().mode == RunMode.MULTIRUN:
            return math.nan
        sys.exit(status)
    except EngineError as error:
        status = _fail(error, 4)
        sys.exit(status)
    except PeerError as error:
        status = _fail(error, 1)
        sys.exit(status)
    except Preempted as stopped:
        status = stopped.status
        if starting_rank() == 0:
            print(f"{stopped}; {_going_on(folder)}", file=sys.stderr)
        sys.exit(status)
    # CheckpointException is no Exception.
    except (Exception, CheckpointException) as error:
        why = why_not_written(error, folder)
        if why is None:
            raise
        status = _fail(UserError(f"{folder}: {why}; make room, and {_going_on(folder)}"))
        sys.exit(status)
    finally:
        _finish_wandb(status)


def _going_on(folder: Path) -> str:
    return f"resume=auto hydra.run.dir={folder} goes on"


def _finish_wandb(status: int) -> None:
    """Close the record of this run; the next one of a sweep is not to go on in it."""
    wandb = sys.modules.get("wandb")
    if wandb is not None and wandb.run is not None:
        wandb.finish(exit_code=status)


def _fail(error: Exception, status: int = 2) -> int:
    print_error(error)
    return status


def _inspect(config: DictConfig) -> None:
    """Look at one job of a sweep before any of them has spent something."""
    quieten_libraries()
    hide_in_run(config, HydraConfig.get())
    check(config)
    if not config.plan:
        rehearse(config)


@ended_by_interrupt
def main() -> None:
    """Entry point of ``p2o-train``."""
    if "--version" in sys.argv[1:]:
        print(f"p2o-train {version('p2o-rl')}")
        return
    try:
        check_overrides(sys.argv[1:], CONFIG_NAME, TrainSettings, inspect=_inspect)
    except USER_ERRORS as error:
        sys.exit(_fail(error))
    hydra.main(version_base="1.3", config_path=str(conf_directory()), config_name=CONFIG_NAME)(
        _run
    )()


if __name__ == "__main__":
    main()
