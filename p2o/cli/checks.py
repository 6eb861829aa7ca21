"""What a configuration must satisfy, whatever its parts are; found out before anything runs."""

import os
import re
from pathlib import PurePath
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from lightning.pytorch.accelerators import Accelerator, CUDAAccelerator, MPSAccelerator
from omegaconf import DictConfig, OmegaConf

from p2o.cli.settings import TrainSettings
from p2o.configuration.sections import Takes
from p2o.configuration.validation import find_target, refuse, section_problems
from p2o.errors import UserError
from p2o.learning.module import EVALUATED, UPDATED
from p2o.learning.pass_at_k import powers_of_two
from p2o.planning.devices import find_device
from p2o.running.distributed import launched_from_outside

OWN = ("p2o.", "p2o_callbacks.", "lightning.")
"""Where callbacks come from of which it is known what they log."""
OF_SOURCE = re.compile(r"val/[^/]+/accuracy")
"""What evaluations log of each source, where there are several."""


def check(config: DictConfig) -> None:
    """Refuse what cannot work.

    Raises:
        UserError: Names the key and what would do.
    """
    refuse(section_problems(config, Takes(TrainSettings)))
    data = config.data
    if data.group_size < 2:
        raise UserError("data.group_size=1: a group of one has no contrast; give at least 2")
    if data.mini_batch > data.batch:
        raise UserError(
            f"data.mini_batch={data.mini_batch} is above data.batch={data.batch}; "
            "an optimiser step cannot take more prompts than are rolled out"
        )
    if config.algorithm.kl.coefficient and config.reference is None:
        raise UserError(
            f"algorithm.kl.coefficient={config.algorithm.kl.coefficient} needs a policy to measure "
            "the divergence from; add reference=initial"
        )
    ceiling = OmegaConf.select(config, "callbacks.kl_ceiling.maximum")
    if ceiling is not None and config.reference is None:
        raise UserError(
            f"callbacks.kl_ceiling.maximum={ceiling} needs a policy to measure the divergence "
            "from; add reference=initial"
        )
    if config.save_policy == "adapter" and config.model.get("adapter") is None:
        raise UserError("save_policy=adapter: there is no adapter; add model/adapter=lora")
    if config.model.dtype == "float16":
        raise UserError(
            "model.dtype=float16: what is trained needs a wider range of numbers; give float32, "
            "with trainer.precision=bf16-mixed for speed, or bfloat16"
        )
    _check_shards(config)
    _check_schedule(config)
    threshold = OmegaConf.select(config, "mining.threshold")
    if isinstance(threshold, int) and threshold > data.group_size:
        raise UserError(
            f"mining.threshold={threshold} is above data.group_size={data.group_size}, so every "
            f"sample would be hard; give at most {data.group_size}"
        )
    even = str(config.allocation.get("_target_")).endswith(".Even")
    if isinstance(threshold, int) and config.evolution is not None and not even:
        raise UserError(
            f"mining.threshold={threshold} counts successes, and this allocation makes groups of "
            f"unequal size; give a rate, such as {threshold / data.group_size:.2f}"
        )
    _check_bare_rollouts(config)
    if config.planning.device is not None:
        find_device(config.planning.device)
    _check_samples(config)
    _check_held_out_hint(config)
    _check_loggers(config)
    _check_checkpoints(config)
    _check_monitors(config)
    _check_resume(config)
    _check_ranks(config)


def _check_bare_rollouts(config: DictConfig) -> None:
    """Refuse so many that no rollout has a hint, or that a sample whose hint works stays hard."""
    threshold, size = OmegaConf.select(config, "mining.threshold"), config.data.group_size
    key = "evolution.callback.bare_rollouts"
    bare = OmegaConf.select(config, key)
    if not isinstance(bare, int):
        return
    if bare < 0:
        raise UserError(f"{key}={bare}: give at least 0")
    hinted = size - bare
    if hinted < 1:
        raise UserError(
            f"{key}={bare} leaves no rollout of data.group_size={size} for a hint; give at most "
            f"{size - 1}"
        )
    if not bare or not isinstance(threshold, int | float):
        return
    if threshold > (hinted if isinstance(threshold, int) else hinted / size):
        # Rounded down, so that what is to be given is not refused.
        most = hinted if isinstance(threshold, int) else 1000 * hinted // size / 1000
        raise UserError(
            f"mining.threshold={threshold}: with {key}={bare} only {hinted} of data.group_size="
            f"{size} rollouts have a hint, so a sample would stay hard though its hint always "
            f"works; give a threshold of at most {most}, or fewer bare_rollouts"
        )


GPUS: dict[str, tuple[type[Accelerator], ...]] = {
    "gpu": (CUDAAccelerator, MPSAccelerator),
    "cuda": (CUDAAccelerator,),
    "mps": (MPSAccelerator,),
}
"""By ``trainer.accelerator``, what of it may be here."""


def check_device(config: DictConfig) -> None:
    """Refuse a GPU on a machine that has none.

    Raises:
        UserError: Names what a machine without one can do.
    """
    wanted = config.trainer.get("accelerator")
    if wanted in GPUS and not any(each.is_available() for each in GPUS[wanted]):
        raise UserError(
            f"trainer.accelerator={wanted}: there is none here; add trainer=cpu for a small model, "
            "such as model=smollm2_135m, or plan=true to see what the run would take"
        )


LAUNCHERS_HERE = (".BasicLauncher", ".JoblibLauncher", ".LocalLauncher")
"""Ends of the names of those that start the jobs of a sweep on this machine: Hydra's own, joblib's
and submitit's."""


def starts_here() -> bool:
    """Whether jobs are started on this machine; other launchers may send them to other ones."""
    return str(HydraConfig.get().launcher.get("_target_")).endswith(LAUNCHERS_HERE)


def check_interval(config: DictConfig, batches: int) -> None:
    """Refuse an evaluation after more training steps than an epoch has, and a part of an update.

    Args:
        config: Of the run.
        batches: Training steps of an epoch.

    Raises:
        UserError: Names the key and the number.
    """
    batches = _limited(config, batches)
    interval = config.trainer.get("val_check_interval")
    of_epoch = config.trainer.get("check_val_every_n_epoch", 1) is not None
    if isinstance(interval, int) and of_epoch and interval > batches:
        raise UserError(
            f"trainer.val_check_interval={interval}: an epoch has {batches} steps; give no more, "
            "or null for an evaluation at its end"
        )


def _limited(config: DictConfig, batches: int) -> int:
    """Training steps of an epoch, which may be limited; Lightning counts them in the same way.

    Its last step ends an update, be it that others of it are missing. The loss is divided by the
    tokens of all.
    """
    limit = config.trainer.get("limit_train_batches")
    if limit is None:
        return batches
    steps = min(batches, limit) if isinstance(limit, int) else int(batches * limit)
    of_update = config.trainer.get("accumulate_grad_batches", 1)
    if not steps or steps % of_update:
        raise UserError(
            f"+trainer.limit_train_batches={limit}: leaves {steps} of an epoch's {batches} steps, "
            f"and an update takes trainer.accumulate_grad_batches={of_update}; give a whole number "
            f"that is a multiple of {of_update}"
        )
    return steps


def _check_monitors(config: DictConfig) -> None:
    """Refuse to watch what nothing measures; names with another prefix may be a callback's."""
    watching = {f"callbacks.{name}": node for name, node in config.callbacks.items()}
    updated = _updated(config)
    for key, node in {"checkpoint": config.checkpoint, **watching}.items():
        for argument in ("monitor", "metric"):
            name = None if node is None else node.get(argument)
            if not isinstance(name, str):
                continue
            if name.startswith("train/") and updated and name not in updated:
                raise UserError(
                    f"{key}.{argument}={name}: nothing measures that; train/ has "
                    f"{', '.join(each.removeprefix('train/') for each in updated)}"
                )
            of_evaluation = name.startswith("val/") or "/" not in name
            evaluated = _evaluated(config)
            known = name in (*evaluated, "step", "epoch") or OF_SOURCE.fullmatch(name)
            if of_evaluation and not known:
                raise UserError(
                    f"{key}.{argument}={name}: nothing measures that; evaluations log "
                    f"{', '.join(evaluated)}"
                )


def _evaluated(config: DictConfig) -> tuple[str, ...]:
    """What evaluations log, but for the accuracy of each source."""
    return (*EVALUATED, *(f"val/pass_at_{k}" for k in powers_of_two(config.data.held_out_samples)))


def _updated(config: DictConfig) -> tuple[str, ...]:
    """What updates log; empty where a loss or a callback from elsewhere may log more."""
    measures = getattr(find_target(config.algorithm.loss, "algorithm.loss"), "measures", None)
    targets = [str(node.get("_target_")) for node in config.callbacks.values() if node is not None]
    if measures is None or not all(target.startswith(OWN) for target in targets):
        return ()
    return (*UPDATED, *(f"train/{name}" for name in measures))


def _check_samples(config: DictConfig) -> None:
    greedy = config.sampling.held_out.get("temperature") == 0
    if config.data.held_out_samples > 1 and greedy:
        raise UserError(
            f"data.held_out_samples={config.data.held_out_samples}: at temperature 0 all are the "
            "same; give 1, or raise sampling.held_out.temperature"
        )


def _check_loggers(config: DictConfig) -> None:
    """Refuse names of which a folder outside the run's own would come."""
    for logger, node in config.logger.items():
        for name in ("name", "version", "sub_dir"):
            value = None if node is None else node.get(name)
            path = PurePath(value if isinstance(value, str) else "")
            if path.is_absolute() or ".." in path.parts:
                raise UserError(
                    f"logger.{logger}.{name}={value}: leads out of the run's folder; give a name"
                )


def _check_held_out_hint(config: DictConfig) -> None:
    if config.held_out_hint is not None and config.evolution is None:
        raise UserError(
            f"held_out_hint={config.held_out_hint}: nothing looks for hints; choose one of the "
            "group hints, or leave it out"
        )


def _check_checkpoints(config: DictConfig) -> None:
    """Refuse names with which two kinds of checkpoints would be written over each other."""
    own = f"{HydraConfig.get().runtime.output_dir}/checkpoints"
    nodes = {f"callbacks.{name}": node for name, node in config.callbacks.items()}
    taken = [(own, "last", "the link to the newest checkpoint")]
    for key, node in {"checkpoint": config.checkpoint, **nodes}.items():
        if node is None or not isinstance(node.get("filename"), str):
            continue
        name = str(node.filename)
        folder = str(node.get("dirpath") or own)
        other = next((by for where, n, by in taken if where == folder and _may_meet(n, name)), None)
        if other is not None:
            raise UserError(
                f"{key}.filename={name}: {other} is written to the same file; give one of them "
                "another name"
            )
        taken.append((folder, name, key))


def _may_meet(name: str, other: str) -> bool:
    """Whether two names, in which braces stand for numbers, may become one."""
    forms = [
        (re.sub(r"\\\{.*?\\\}", ".*", re.escape(n)), re.sub("{.*?}", "0", n)) for n in (name, other)
    ]
    return any(re.fullmatch(one[0], two[1]) for one, two in (forms, forms[::-1]))


def _check_ranks(config: DictConfig) -> None:
    devices, nodes = config.trainer.get("devices", 1), config.trainer.get("num_nodes", 1)
    if nodes > 1 and not launched_from_outside() and "NODE_RANK" not in os.environ:
        raise UserError(
            f"+trainer.num_nodes={nodes}: nothing has started this run on the other nodes, for "
            "which it would wait; start it with torchrun or srun, see docs/clusters.md"
        )
    sweeping = HydraConfig.get().mode == RunMode.MULTIRUN
    # A launcher that starts a task for each device, as submitit does on SLURM.
    tasks = HydraConfig.get().launcher.get("tasks_per_node", 1)
    started = launched_from_outside() or tasks == devices
    if sweeping and devices not in (1, "1") and not started:
        raise UserError(
            f"trainer.devices={devices} with --multirun: every rank would run the whole sweep; "
            "sweep with trainer.devices=1, or see docs/clusters.md"
        )
    if launched_from_outside() and "${now:" in _run_directory():
        raise UserError(
            "ranks that are started from outside would each make a folder of its own; add "
            f"hydra.{'sweep' if sweeping else 'run'}.dir=runs/NAME"
        )


def _run_directory() -> str:
    """Where this run, or its sweep, is kept, before times are filled in."""
    hydra = HydraConfig.get()
    key = "sweep" if hydra.mode == RunMode.MULTIRUN else "run"
    folder: Any = OmegaConf.to_container(getattr(hydra, key), resolve=False)
    return folder["dir"]


def _check_shards(config: DictConfig) -> None:
    strategy = OmegaConf.select(config, "trainer.strategy._target_") or ""
    optimizer = OmegaConf.select(config, "optimizer._target_") or ""
    if not strategy.endswith("ShardedStrategy"):
        return
    if config.teacher is not None:
        raise UserError(
            "teacher=moving_average: cannot average a policy in shards; use trainer=ddp, or "
            "teacher=current"
        )
    if config.save_policy == "adapter":
        raise UserError("save_policy=adapter: of a sharded policy give merged or null")
    if optimizer.endswith("adamw_8bit"):
        raise UserError("optimizer=adamw_8bit: its state cannot be sharded; use trainer=ddp")
    flat = strategy.endswith("FlatShardedStrategy")
    if flat and config.reference is not None and config.model.get("adapter") is not None:
        raise UserError(
            "reference=initial: without its adapter, a policy in flat shards cannot be read; use "
            "trainer=fsdp2"
        )
    if optimizer.endswith("muon") and flat:
        raise UserError("optimizer=muon: needs whole matrices, not flat shards; use trainer=fsdp2")


def _check_schedule(config: DictConfig) -> None:
    ends = ("max_epochs", "max_steps")
    if all(config.trainer.get(name) is None for name in (*ends, "max_time")):
        raise UserError("trainer.max_epochs: give a number of epochs, or -1 for a run without end")
    open_ended = config.trainer.get(ends[0]) == -1 and config.trainer.get(ends[1], -1) == -1
    budgets = [node for node in config.callbacks.values() if node is not None]
    budgets = [node for node in budgets if str(node.get("_target_")).endswith("Budget")]
    if config.scheduler is not None and open_ended and not budgets:
        raise UserError(
            "trainer.max_epochs=-1: a run without an end has no length to lay the scheduler over; "
            "give a number of epochs, +trainer.max_steps, a p2o_callbacks.RolloutBudget among the "
            "callbacks, or scheduler=constant"
        )


def _check_resume(config: DictConfig) -> None:
    given = config.ckpt_path
    if given is not None and not (isinstance(given, str) and given.strip()):
        raise UserError(f"ckpt_path={given}: give the path of a checkpoint")
    if not isinstance(config.resume_changed, bool):
        raise UserError(f"resume_changed={config.resume_changed}: give true or false")
    if config.resume is None:
        return
    if config.ckpt_path is not None:
        raise UserError("resume=auto finds the checkpoint itself; leave ckpt_path out")
    if "${now:" in _run_directory():
        key = "sweep" if HydraConfig.get().mode == RunMode.MULTIRUN else "run"
        raise UserError(
            "resume=auto needs a folder that is the same at every start; add "
            f"hydra.{key}.dir=runs/NAME"
        )
