"""The parts of one training, put together as its configuration says."""

import logging
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.loggers import Logger
from omegaconf import DictConfig

from p2o.accounting.journal import Journal, JournaledEngine, JournaledReflection
from p2o.accounting.ledger import Ledger, MeteredEngine, MeteredEnvironment, MeteredReflection
from p2o.cli.assembly import RolloutParts, assemble_rollout_parts, make_verifier
from p2o.cli.checks import check_interval
from p2o.cli.going_on import settings_of
from p2o.cli.policies import configured_policy
from p2o.cli.preparation import prepare
from p2o.cli.sampling import make_sampling
from p2o.cli.streams import make_streams
from p2o.configuration.build import build, build_all, call, takes
from p2o.errors import located
from p2o.hints.problems import KnowsProblems
from p2o.learning.averaged_teacher import AveragedTeacher
from p2o.learning.credit import CreditAssignment
from p2o.learning.datamodule import RolloutDataModule
from p2o.learning.early_end import EarlyEnd
from p2o.learning.experience import ExperienceBuilder
from p2o.learning.final_evaluation import FinalEvaluation
from p2o.learning.module import P2OModule
from p2o.learning.recording import RunRecorder
from p2o.learning.sizes import BatchSizes
from p2o.learning.telling import Telling
from p2o.learning.telltale import Telltale
from p2o.learning.throughput import Throughput, flops_a_token
from p2o.learning.updates import WholeUpdates
from p2o.planning.devices import peak_flops
from p2o.policy.moving_average import MovingAverage
from p2o.reflection.base import RemoteReflection
from p2o.rollout.engine import SamplingParameters
from p2o.rollout.hf import position_limit
from p2o.rollout.runner import RolloutRunner
from p2o.rollout.weights import identity
from p2o.running.checkpointing import AtomicCheckpointIO
from p2o.running.preemption import StopWhenPreempted
from p2o.running.resuming import KeptSettings
from p2o.world.ancestry import is_of_the_world
from p2o_callbacks.pool import PromptPool
from p2o_callbacks.pool_files import Moment
from p2o_callbacks.protocols import Evolution, HardSetSource, PoolSource

logger = logging.getLogger(__name__)

HIGH_RATE = 1e-4
"""A rate at which a language model soon forgets what it knew, all of its weights being trained."""

KEYS = {"suffix": "renderer.suffix", "max_new_tokens": "sampling.train.max_new_tokens"}
"""Where a run sets what warnings of its training name; see `p2o.learning.unread`."""


@dataclass(frozen=True)
class Training:
    """A training that can be started.

    Attributes:
        sampler: The policy, and what rolls prompts out with it.
        module: Updates the policy.
        data: Makes batches of prompts.
        callbacks: Of the trainer, in its order.
        final: The one among them that evaluates at the end.
        ledger: What the run spends.
        trainer: Lightning's.
        origin: A hash of the policy's weights before any update; empty where there is no search.
    """

    sampler: RolloutParts
    module: P2OModule
    data: RolloutDataModule
    callbacks: list[Callback]
    final: FinalEvaluation
    ledger: Ledger
    trainer: Trainer
    origin: str = ""


def assemble(config: DictConfig, folder: Path) -> Training:
    """Make every part of a run.

    Args:
        config: Of ``p2o-train``.
        folder: Of the run.

    Raises:
        UserError: A part cannot be had, or refuses what it is given.
    """
    verifier = make_verifier(config)
    model, tokenizer = configured_policy(config.model)
    warn_of_the_rate(config)
    sampler = assemble_rollout_parts(
        config, model, tokenizer, verifier, config.data.max_prompt_tokens
    )
    ledger = Ledger(flops_a_token(model))
    journal = Journal(folder / "evolution", ledger)
    runner, search = _make_runners(sampler, ledger, journal)
    prompts = prepare(config, sampler.renderer, verifier.verifier)
    sampling = make_sampling(config, tokenizer, getattr(sampler.engine, "max_length", None))
    module = _make_module(config, sampler, sampling["train"])
    teacher = build(config.teacher, "teacher", policy=module.policy)
    sizes = _read_sizes(config)
    check_interval(config, sizes.mini_batches(len(prompts.train)) * sizes.micro_batches)
    data = RolloutDataModule(
        train=prompts.train,
        held_out=prompts.held_out,
        runner=runner,
        search_runner=search,
        module=module,
        builder=_make_builder(config, sampler, module, teacher, sizes, ledger),
        ledger=ledger,
        sizes=sizes,
        sampling=sampling["train"],
        evolution_sampling=sampling["evolution"],
        held_out_sampling=sampling["held_out"],
        held_out_samples=config.data.held_out_samples,
        seed=config.seed,
        others_allowed=bool(config.resume_changed),
        hints_kept=config.held_out_hint == "best",
        allocation=build(config.allocation, "allocation"),
        telltale=Telltale(KEYS),
    )
    final = FinalEvaluation(bool(config.resume_changed), folder / "summary.json")
    callbacks = _own_callbacks(config, ledger, final, teacher)
    # Mining, then evolution, which reads the miner's hard set.
    callbacks.append(build(config.mining, "mining"))
    if config.evolution is not None:
        callbacks.append(_make_evolution(config, search, journal, ledger, data))
    others = build_all(config.callbacks, "callbacks", Callback)
    # The recorder keeps the hard set that a miner has taken by then.
    miners = [each for each in others if isinstance(each, HardSetSource)]
    callbacks += [*miners, RunRecorder(folder, **config.records)]
    callbacks += [each for each in others if each not in miners]
    callbacks.append(build(config.checkpoint, "checkpoint", dirpath=folder / "checkpoints"))
    trainer = build(
        config.trainer,
        "trainer",
        callbacks=callbacks,
        logger=build_all(config.logger, "logger", Logger),
        default_root_dir=folder,
        plugins=[AtomicCheckpointIO()],
    )
    origin = "" if config.evolution is None else identity(model)
    return Training(sampler, module, data, callbacks, final, ledger, trainer, origin)


def warn_of_the_rate(config: DictConfig) -> None:
    """Say that all weights of a language model are trained at a rate for the embedded world."""
    rate, model = config.optimizer.get("lr"), str(config.model.path)
    full = config.model.get("adapter") is None
    if full and isinstance(rate, int | float) and rate >= HIGH_RATE and not is_of_the_world(model):
        logger.warning(
            "optimizer.lr=%g: all weights of %s are trained at the rate of the embedded world's "
            "small policy; the paper takes 1e-6, and experiment=gsm8k has the settings for a "
            "language model",
            rate,
            model,
        )


def _make_runners(
    sampler: RolloutParts, ledger: Ledger, journal: Journal
) -> tuple[RolloutRunner, RolloutRunner]:
    """What rolls out for training and evaluation, and what does for a search; both are counted.

    A search has a record of its own, from which it goes on when it is killed.
    """
    environment = MeteredEnvironment(sampler.environment, ledger)
    recorded = JournaledEngine(sampler.engine, journal)
    return (
        sampler.runner(MeteredEngine(sampler.engine, ledger), environment),
        sampler.runner(MeteredEngine(recorded, ledger), environment),
    )


def _own_callbacks(
    config: DictConfig, ledger: Ledger, final: FinalEvaluation, teacher: MovingAverage | None
) -> list[Callback]:
    """Those that every run has, whatever else its configuration chooses."""
    changed = bool(config.resume_changed)
    return [
        WholeUpdates(ledger),
        *([] if teacher is None else [AveragedTeacher(teacher)]),
        Throughput(ledger, peak_flops),
        EarlyEnd(go_on=changed),
        StopWhenPreempted(),
        KeptSettings(settings_of(config), renew=changed),
        final,
    ]


def _read_sizes(config: DictConfig) -> BatchSizes:
    return BatchSizes(
        config.data.group_size,
        config.data.batch,
        config.data.mini_batch,
        config.trainer.get("accumulate_grad_batches", 1),
        config.algorithm.sampling_rounds,
    )


def _make_module(
    config: DictConfig, sampler: RolloutParts, sampling: SamplingParameters
) -> P2OModule:
    return call(
        P2OModule,
        "module",
        model=sampler.model,
        policy_loss=build(config.algorithm.loss, "algorithm.loss"),
        optimizer=build(config.optimizer, "optimizer"),
        scheduler=build(config.scheduler, "scheduler"),
        temperature=sampling.temperature,
        kl=build(config.algorithm.kl, "algorithm.kl"),
        correction=build(config.correction, "correction"),
        entropy_coefficient=config.algorithm.entropy_coefficient,
        **config.module,
    )


def _make_builder(
    config: DictConfig,
    sampler: RolloutParts,
    module: P2OModule,
    teacher: MovingAverage | None,
    sizes: BatchSizes,
    ledger: Ledger,
) -> ExperienceBuilder:
    """What makes scored groups into what the network is trained on."""
    reference = build(config.reference, "reference", policy=module.policy)
    strategy = build(config.distillation, "distillation")
    limit = position_limit(sampler.model.config)
    return ExperienceBuilder(
        sizes,
        CreditAssignment(
            build(config.algorithm.advantages, "algorithm.advantages"),
            build(config.baseline, "baseline"),
            build(config.algorithm.overlong, "algorithm.overlong"),
            config.drop_failed_templated,
        ),
        strategy,
        packer=module.packer,
        score=module.score,
        score_reference=reference and partial(module.score, policy=reference),
        kl=module.pass_loss.kl,
        entropy_bonus=module.pass_loss.entropy_coefficient != 0,
        updates=lambda: module.trainer.global_step,
        ledger=ledger,
        tell=strategy.told and Telling(strategy.told, sampler.renderer, limit),
        score_teacher=teacher and partial(module.score, policy=teacher),
        score_most=module.score_most,
        streams=make_streams(config),
    )


def _make_evolution(
    config: DictConfig,
    search: RolloutRunner,
    journal: Journal,
    ledger: Ledger,
    data: RolloutDataModule,
) -> Callback:
    reflection = build(config.reflection, "reflection")
    if isinstance(reflection, RemoteReflection):
        reflection = JournaledReflection(reflection, journal)
    reflection = MeteredReflection(reflection, ledger, data.refresh_search)
    with located("reflection"):
        reflection.bind(search.engine, search.renderer)
    assigner = build(config.assignment, "assignment")
    node, offered = config.evolution.evolver, {"reflection": reflection, "assigner": assigner}
    _say_unasked(node)
    evolver = build(node, "evolution.evolver", offered=offered)
    for part in (assigner, evolver):
        if isinstance(part, KnowsProblems):
            with located("data"):
                part.bind(data.problems)
    callback: Callback = build(config.evolution.callback, "evolution.callback", evolver=evolver)
    if isinstance(callback, PoolSource):
        callback.add_pool_observer(partial(_count_spared, ledger))
    return callback


def _say_unasked(evolver: DictConfig) -> None:
    """Tell when a choice of how hints are dealt out changes nothing."""
    chosen = HydraConfig.get().runtime.choices
    if chosen.get("assignment") != "diverse" and not takes(
        evolver, "evolution.evolver", "assigner"
    ):
        logger.warning(
            "assignment=%s has no say, as evolution=%s deals hints out itself; leave it out",
            chosen.get("assignment"),
            chosen.get("evolution"),
        )


def _count_spared(
    ledger: Ledger, moment: Moment, pool: PromptPool, evolution: Evolution | None
) -> None:
    """Keep the books of what a search did not have to ask."""
    with ledger.phase("evolution"):
        ledger.add_shared(spared_calls=(evolution and evolution.spared) or 0)
    # A stop in the batch that follows does not take back what the search has spent.
    ledger.keep()
