"""What a configuration must satisfy, whatever its parts are; found out before anything runs."""

from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from p2o.distributed import launched_from_outside
from p2o.errors import UserError


def check(config: DictConfig) -> None:
    """Refuse what cannot work.

    Raises:
        UserError: Names the key and what would do.
    """
    if not isinstance(config.seed, int):
        raise UserError(f"seed={config.seed}: give a whole number")
    data = config.data
    for key in ("group_size", "batch", "mini_batch", "held_out_samples", "max_prompt_tokens"):
        if not isinstance(data[key], int) or data[key] < 1:
            raise UserError(f"data.{key}={data[key]}: give a whole number of at least 1")
    if data.group_size < 2:
        raise UserError("data.group_size=1: a group of one has no contrast; give at least 2")
    if data.mini_batch > data.batch:
        raise UserError(
            f"data.mini_batch={data.mini_batch} is above data.batch={data.batch}; "
            "an optimiser step cannot take more prompts than are rolled out"
        )
    rounds = config.algorithm.sampling_rounds
    if not isinstance(rounds, int) or rounds < 1:
        raise UserError(
            f"algorithm.sampling_rounds={rounds}: give a whole number of at least 1, which is no "
            "dynamic sampling"
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
    if config.save_policy not in ("merged", "adapter", None):
        raise UserError(f"save_policy={config.save_policy}: give merged, adapter or null")
    if config.save_policy == "adapter" and config.model.get("adapter") is None:
        raise UserError("save_policy=adapter: there is no adapter; add model/adapter=lora")
    _check_shards(config)
    threshold = OmegaConf.select(config, "mining.threshold")
    if isinstance(threshold, int) and threshold > data.group_size:
        raise UserError(
            f"mining.threshold={threshold} is above data.group_size={data.group_size}, so every "
            f"sample would be hard; give at most {data.group_size}"
        )
    _check_resume(config)
    _check_ranks(config)


def _check_ranks(config: DictConfig) -> None:
    devices = config.trainer.get("devices", 1)
    sweeping = HydraConfig.get().mode == RunMode.MULTIRUN
    if sweeping and devices not in (1, "1") and not launched_from_outside():
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
    if config.save_policy == "adapter":
        raise UserError("save_policy=adapter: of a sharded policy give merged or null")
    if optimizer.endswith("adamw_8bit"):
        raise UserError("optimizer=adamw_8bit: its state cannot be sharded; use trainer=ddp")
    if optimizer.endswith("muon") and strategy.endswith("FlatShardedStrategy"):
        raise UserError("optimizer=muon: needs whole matrices, not flat shards; use trainer=fsdp2")


def _check_resume(config: DictConfig) -> None:
    if config.ckpt_path is not None and not isinstance(config.ckpt_path, str):
        raise UserError(f"ckpt_path={config.ckpt_path}: give the path of a checkpoint")
    if not isinstance(config.resume_changed, bool):
        raise UserError(f"resume_changed={config.resume_changed}: give true or false")
    if config.resume is None:
        return
    if config.resume != "auto":
        raise UserError(f"resume={config.resume}: give auto or null")
    if config.ckpt_path is not None:
        raise UserError("resume=auto finds the checkpoint itself; leave ckpt_path out")
    if "${now:" in _run_directory():
        key = "sweep" if HydraConfig.get().mode == RunMode.MULTIRUN else "run"
        raise UserError(
            "resume=auto needs a folder that is the same at every start; add "
            f"hydra.{key}.dir=runs/NAME"
        )
